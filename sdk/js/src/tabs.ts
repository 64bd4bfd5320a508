// Tabs of one origin, url and user share one connection. A Web Lock says which of them leads; the others reach it by
// BroadcastChannel, as one more transport at the top of their ladder. So a new leader is only a reconnect, and a
// leader that does not answer is only a transport that failed.
//
// Loaded when it is needed. Imports types alone: what it shares with the main module it is given.

import type { Tidings } from './client.js';
import type { TidingsError } from './errors.js';
import type { Subscription } from './subscription.js';
import type { Read, Transport, TransportEvent, Wire } from './transports/transport.js';
import type { StateEvent, SubscribeOptions, TransportName } from './types.js';

/** A leader that does not answer for so long is not there, in milliseconds. */
const PROOF_MS = 3_000;
/** How often a quiet leader is asked whether it is there, and when it is not. */
const ASK_MS = 3_000;
const SILENT_MS = 8_000;

/** What a tab says to the leader. */
type Asked = { tab: string; reads?: Read[]; bye?: true };
/** What the leader says: to all that it leads, to one tab how it is connected and what came. */
type Told =
  | { leader: string }
  | { state: StateEvent }
  | { event: TransportEvent }
  | { refused: { channel: string; code: string; detail: string } };

interface Parts {
  client: Tidings;
  /** Names the url and the user; never a token. */
  key: string;
  error: (code: string, detail: string) => TidingsError;
  /** This tab leads now: connect. */
  lead(): void;
  /** Another tab leads: connect through it. */
  follow(): void;
}

/** This tab among the others. */
export class Tabs {
  readonly #parts: Parts;
  readonly #id = crypto.randomUUID();
  readonly #name: string;
  readonly #closed = new AbortController();
  /** Over when the page is put aside: then it holds no lock, and asks for none. */
  #awake = new AbortController();
  #leader: Leader | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#name = `tidings:${parts.key}`;
    const { signal } = this.#closed;
    addEventListener('pagehide', ({ persisted }) => persisted && this.#leave(), { signal });
    addEventListener('pageshow', ({ persisted }) => persisted && this.#enter(), { signal });
    this.#enter();
  }

  /** The transport of a tab that is led. */
  readonly open = (wire: Wire): Transport => new Follower(wire, this.#name, this.#id, this.#parts.error);

  close(): void {
    this.#closed.abort();
    this.#leave();
  }

  async #enter(): Promise<void> {
    this.#awake = new AbortController();
    const { signal } = this.#awake;
    const over = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
    const lead = () => {
      this.#leader = new Leader(this.#parts.client, this.#name);
      this.#parts.lead();
      return over;
    };
    // While this lock is held, the leader knows that this tab lives.
    navigator.locks.request(`${this.#name}:${this.#id}`, { signal }, () => over).catch(() => undefined);
    const taken = await navigator.locks.request(this.#name, { ifAvailable: true }, (lock) => (lock ? lead() : true));
    if (!taken || signal.aborted) return;
    this.#parts.follow();
    navigator.locks.request(this.#name, { signal }, lead).catch(() => undefined);
  }

  #leave(): void {
    this.#leader?.close();
    this.#leader = undefined;
    this.#awake.abort();
  }
}

/** Reads for the other tabs, with subscriptions of its own client: each from its own place. */
class Leader {
  readonly #client: Tidings;
  readonly #name: string;
  readonly #channel: BroadcastChannel;
  readonly #tabs = new Map<string, Led>();
  readonly #closed = new AbortController();
  readonly #off: () => void;

  constructor(client: Tidings, name: string) {
    this.#client = client;
    this.#name = name;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#hear(data as Asked);
    this.#off = client.on('state', (state) => {
      for (const tab of this.#tabs.values()) tab.tell({ state: plain(state) });
    });
    this.#channel.postMessage({ leader: name } satisfies Told);
  }

  close(): void {
    this.#off();
    this.#closed.abort();
    for (const tab of this.#tabs.values()) tab.close();
    this.#channel.close();
  }

  #hear({ tab: id, reads, bye }: Asked): void {
    if (id === undefined) return;
    let tab = this.#tabs.get(id);
    if (bye) return tab?.read([]);
    if (!tab) {
      tab = new Led(this.#client, `${this.#name}:${id}`);
      this.#tabs.set(id, tab);
      this.#dropWithTab(id);
    }
    tab.tell({ state: plain(this.#client.state) });
    if (reads) tab.read(reads);
  }

  /** A tab that is gone gives its lock back. */
  #dropWithTab(id: string): void {
    const drop = () => {
      this.#tabs.get(id)?.close();
      this.#tabs.delete(id);
    };
    navigator.locks.request(`${this.#name}:${id}`, { signal: this.#closed.signal }, drop).catch(() => undefined);
  }
}

/** Another tab, as its leader sees it. */
class Led {
  readonly #client: Tidings;
  readonly #channel: BroadcastChannel;
  readonly #reads = new Map<string, { version: number; subscription: Subscription }>();

  constructor(client: Tidings, name: string) {
    this.#client = client;
    this.#channel = new BroadcastChannel(name);
  }

  tell(told: Told): void {
    this.#channel.postMessage(told);
  }

  /** Reads these channels for it, and no others. */
  read(reads: Read[]): void {
    const wanted = new Map(reads.map((read) => [read.channel, read]));
    for (const [channel, { version, subscription }] of this.#reads)
      if (wanted.get(channel)?.version !== version) {
        this.#reads.delete(channel);
        subscription.unsubscribe();
      }
    for (const read of wanted.values()) if (!this.#reads.has(read.channel)) this.#begin(read);
  }

  close(): void {
    this.read([]);
    this.#channel.close();
  }

  #begin({ channel, cursor, version, maxRate, conflate, presence }: Read): void {
    const say = (event: TransportEvent) => this.tell({ event });
    say({ type: 'subscribed', channel, version });
    const options: SubscribeOptions = {
      after: cursor,
      onMessage: (message) => say({ type: 'message', message }),
      onGap: (gap) => say({ type: 'gap', gap }),
      onEnd: (end) => say({ type: 'end', end }),
      onError: (error) =>
        this.tell({ refused: { channel, code: (error as TidingsError).code, detail: error.message } }),
      ...(maxRate !== undefined && { maxRate }),
      ...(conflate && { conflate }),
      ...(presence && { onPresence: ({ members }) => say({ type: 'presence', channel, members }) }),
    };
    this.#reads.set(channel, { version, subscription: this.#client.channel(channel).subscribe(options) });
  }
}

/** Reads through the leader. */
class Follower implements Transport {
  readonly #wire: Wire;
  readonly #id: string;
  readonly #error: Parts['error'];
  readonly #all: BroadcastChannel;
  readonly #mine: BroadcastChannel;
  readonly #tick: ReturnType<typeof setInterval>;
  #heard = Date.now();
  #answered = false;
  #via: TransportName | undefined;
  #open = false;
  #over = false;

  constructor(wire: Wire, name: string, id: string, error: Parts['error']) {
    this.#wire = wire;
    this.#id = id;
    this.#error = error;
    this.#all = new BroadcastChannel(name);
    this.#mine = new BroadcastChannel(`${name}:${id}`);
    this.#mine.onmessage = ({ data }) => this.#hear(data as Told);
    this.#all.onmessage = ({ data }) => 'leader' in data && this.#led();
    this.#tick = setInterval(() => this.#listen(), 1_000);
    this.#say({});
  }

  update(): void {
    if (this.#open) this.#say({ reads: [...this.#wire.reads.values()].map((read) => ({ ...read })) });
  }

  wake(): void {
    this.#say({});
  }

  close(): void {
    if (this.#over) return;
    this.#say({ bye: true });
    this.#over = true;
    clearInterval(this.#tick);
    this.#all.close();
    this.#mine.close();
  }

  #say(what: Omit<Asked, 'tab'>): void {
    if (!this.#over) this.#all.postMessage({ tab: this.#id, ...what } satisfies Asked);
  }

  /** Another tab leads now. */
  #led(): void {
    if (this.#open) this.#end('connection-lost', 'the tab that had the connection is gone');
    else this.#say({});
  }

  #hear(told: Told): void {
    this.#heard = Date.now();
    this.#answered = true;
    if ('state' in told) return this.#is(told.state);
    if (!this.#open) return;
    if ('event' in told) this.#wire.emit(told.event);
    // The leader's token does not allow it; ours may.
    else if ('refused' in told)
      this.#end(
        'blocked',
        `the tab that has the connection may not read ${told.refused.channel} (${told.refused.code})`,
      );
  }

  #is({ state, transport }: StateEvent): void {
    if (state === 'connected') {
      if (transport !== this.#via) this.#wire.emit({ type: 'open', ...(transport && { via: transport }) });
      this.#via = transport;
      if (!this.#open) {
        this.#open = true;
        this.update();
      }
    } else if (this.#open) this.#end('connection-lost', 'the tab that has the connection lost it');
  }

  #listen(): void {
    const silentMs = Date.now() - this.#heard;
    if (silentMs >= (this.#answered ? SILENT_MS : PROOF_MS))
      this.#end('blocked', 'the tab that has the connection does not answer');
    else if (silentMs >= ASK_MS) this.#say({});
  }

  #end(code: string, detail: string): void {
    if (this.#over) return;
    this.close();
    this.#wire.emit({ type: 'closed', fault: { error: this.#error(code, detail) } });
  }
}

/** What a channel between tabs can carry. */
const plain = ({ state, transport }: StateEvent): StateEvent => ({ state, ...(transport && { transport }) });
