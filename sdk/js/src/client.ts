import { Channel } from './channel.js';
import { sleep } from './clock.js';
import { Credentials, claims } from './credentials.js';
import { TidingsError } from './errors.js';
import { Http } from './http.js';
import { Link, type LinkParts } from './link.js';
import { Roster } from './presence.js';
import { Publishing } from './publishing.js';
import { Reads } from './reads.js';
import { reduce, START, type State, told } from './state.js';
import { call, Subscription } from './subscription.js';
import { longPoll } from './transports/long-poll.js';
import { poll } from './transports/poll.js';
import { sse } from './transports/sse.js';
import type { OpenTransport, TransportEvent } from './transports/transport.js';
import { ws } from './transports/ws.js';
import type {
  ClientEvents,
  PresenceChange,
  StateEvent,
  SubscribeOptions,
  TidingsOptions,
  TransportName,
} from './types.js';

const TRANSPORTS: Partial<Record<TransportName, OpenTransport>> = { ws, sse, 'long-poll': longPoll, poll };
/** How often presence is asked for where the transport does not tell of changes, in milliseconds. */
const PRESENCE_MS = 10_000;

/** A connection to a Tidings server that the application need not think about. */
export class Tidings {
  /** Writes what happens to the console, never payloads or tokens. `localStorage.tidings_debug = 1` switches it on, too. */
  debug: boolean;
  readonly #http: Http;
  readonly #credentials: Credentials;
  readonly #reads: Reads;
  readonly #publishing: Publishing;
  readonly #wire: LinkParts['wire'];
  #link: Link | undefined;
  #tabs: { close(): void } | undefined;
  readonly #dedupeMs: number;
  readonly #listeners = new Set<(event: StateEvent) => void>();
  readonly #rosters = new Map<string, Roster>();
  readonly #closed = new AbortController();
  #state: State = START;

  constructor(options: TidingsOptions = {}) {
    this.debug = options.debug ?? isDebugging();
    this.#dedupeMs = options.dedupe ?? 120_000;
    const order = [...new Set(options.transports ?? (['ws', 'sse', 'long-poll', 'poll'] as const))];
    const unknown = order.find((name) => !(name in TRANSPORTS));
    if (unknown !== undefined || order.length === 0)
      throw new TypeError(`transports are ws, sse, long-poll and poll, not ${unknown ?? 'none'}`);
    this.#credentials = new Credentials(options.token, (token) => this.#link?.refresh(token));
    const fetcher = options.fetch ?? ((...args: Parameters<typeof fetch>) => fetch(...args));
    this.#http = new Http(baseOf(options.url), this.#credentials, fetcher);
    this.#reads = new Reads(this.#http, () => this.#link?.update());
    this.#wire = {
      http: this.#http,
      credentials: this.#credentials,
      WebSocket: options.WebSocket ?? globalThis.WebSocket,
      reads: this.#reads.wanted,
    };
    if (options.shareTabs ?? true) this.#share(order).catch(() => this.#connect(order));
    else this.#connect(order);
    this.#publishing = new Publishing({
      http: this.#http,
      connected: () => this.#state.at === 'connected',
      session: () => this.#link?.session,
      begun: (channels) => this.#reads.begun(channels),
      bound: options.queue ?? 1_000,
      dedupeMs: this.#dedupeMs,
    });
    this.#watchPresence();
  }

  /** What `state` events tell, now. */
  get state(): StateEvent {
    return told(this.#state, Date.now());
  }

  /** Calls `listener` at each event, until the function that it returns is called. */
  on<E extends keyof ClientEvents>(_event: E, listener: (event: ClientEvents[E]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A channel by its name. `T` is what its messages hold. */
  channel<T = unknown>(name: string): Channel<T> {
    return new Channel<T>(name, {
      http: this.#http,
      publishing: this.#publishing,
      subscribe: (channel, options) => this.#subscribe(channel, options),
    });
  }

  /** Ends every subscription and the connection, for good. Publishes that wait are rejected. */
  close(): void {
    if (this.#link) this.#link.close();
    else this.#is(reduce(this.#state, { type: 'close' }));
  }

  /** Connects by these transports, and no longer as it did. */
  #connect(order: readonly TransportName[], tab?: OpenTransport): void {
    if (this.#state.at === 'closed') return;
    this.#link?.leave();
    this.#link = new Link({
      transports: tab ? { ...TRANSPORTS, tab } : TRANSPORTS,
      order,
      wire: this.#wire,
      emit: (event) => this.#hear(event),
      onState: (state) => this.#is(state),
      log: (text) => this.#log(text),
    });
  }

  /** Connects through another tab of the same url and user, or for the others. Rejects where that cannot be. */
  async #share(order: readonly TransportName[]): Promise<void> {
    if (!globalThis.document || !navigator.locks || !globalThis.BroadcastChannel) throw undefined;
    const token = await this.#credentials.get();
    const user = token === undefined ? '' : claims(token).sub;
    if (user === undefined) throw undefined;
    const { Tabs } = await import('./tabs.js');
    if (this.#state.at === 'closed') return;
    const tabs = new Tabs({
      client: this,
      key: `${this.#http.base} ${user}`,
      error: (code, detail) => new TidingsError(code, detail),
      lead: () => this.#connect(order),
      follow: () => this.#connect(['tab', ...order], tabs.open),
    });
    this.#tabs = tabs;
  }

  #subscribe<T>(channel: string, options: SubscribeOptions<T>): Subscription<T> {
    const subscription = new Subscription<T>(channel, options, this.#dedupeMs, (one) => this.#reads.remove(one));
    if (this.#state.at === 'closed')
      subscription.fail(this.#state.reason ?? new TidingsError('closed', 'the client is closed'));
    else this.#reads.add(subscription as Subscription);
    const here = options.onPresence && this.#rosters.get(channel)?.now;
    if (here) queueMicrotask(() => call(options.onPresence, here));
    return subscription;
  }

  #is(state: State): void {
    this.#state = state;
    if (state.at === 'connected') this.#publishing.wake();
    if (state.at === 'closed') this.#end(state.reason);
    for (const listener of [...this.#listeners]) call(listener, this.state);
  }

  #end(reason: TidingsError | undefined): void {
    this.#closed.abort();
    this.#tabs?.close();
    this.#credentials.end();
    this.#publishing.close();
    this.#reads.close(reason);
  }

  #hear(event: TransportEvent): void {
    if (event.type !== 'presence') return this.#reads.hear(event);
    const roster = this.#roster(event.channel);
    this.#tellPresence(event.members ? roster.is(event.members) : roster.changed(event.joined ?? [], event.left ?? []));
  }

  #roster(channel: string): Roster {
    const roster = this.#rosters.get(channel) ?? new Roster(channel);
    this.#rosters.set(channel, roster);
    return roster;
  }

  #tellPresence(change: PresenceChange | undefined): void {
    if (change) this.#reads.tellPresence(change);
  }

  /** Only a session tells of changes; over other transports they are asked for. */
  async #watchPresence(): Promise<void> {
    const { signal } = this.#closed;
    while (!signal.aborted) {
      await sleep(PRESENCE_MS, signal);
      if (this.#state.at !== 'connected' || this.#link?.session) continue;
      for (const { channel, presence } of this.#reads.wanted.values()) {
        if (!presence) continue;
        const now = await this.channel(channel)
          .presence()
          .catch(() => undefined);
        if (now && !this.#link?.session) this.#tellPresence(this.#roster(channel).is(now.members));
      }
    }
  }

  #log(text: string): void {
    if (this.debug) console.debug(`tidings ${new Date().toISOString()} ${text}`);
  }
}

function baseOf(url: string | URL | undefined): string {
  const here = globalThis.location?.href;
  const given = url ?? (here === undefined ? undefined : new URL('/', here));
  if (given === undefined)
    throw new TypeError('`url` is needed outside a browser, e.g. { url: "http://127.0.0.1:8080" }');
  const { origin, pathname } = new URL(given, here);
  return (origin + pathname).replace(/\/+$/, '');
}

function isDebugging(): boolean {
  try {
    return localStorage.getItem('tidings_debug') !== null;
  } catch {
    return false;
  }
}
