// A lane: the product's own client on one transport (or on its ladder), and what is counted of it.

import { type Message, type StateEvent, type Subscription, Tidings } from '/sdk/tidings.js';
import { now } from './clock';
import { LANES, type LaneCounts, type LaneName } from './node';
import { type Arrival, Tally } from './tally';
import { Wire } from './wire';

/** What a message of the lab holds. */
interface Data {
  n: number;
  t: number;
  pad: string;
}

/** What became of a lane after something was done to it. */
export interface Recovery {
  /** What was done. */
  what: string;
  /** Since when it could recover, in milliseconds since the epoch. */
  since: number;
  /** When the first message came that was published after that; undefined until then. */
  afterMs?: number;
  /** Messages that were published before and came after. */
  caughtUp: number;
}

/** Counts of a lane, in all or between two moments. */
export interface Counts {
  messages: number;
  bytes: number;
  requests: number;
  answers: number;
  empty: number;
  up: number;
  down: number;
  opened: number;
}

const NO_COUNTS: LaneCounts = { port: 0, up: 0, down: 0, opened: 0, held: 0 };
const ZERO: Counts = { messages: 0, bytes: 0, requests: 0, answers: 0, empty: 0, up: 0, down: 0, opened: 0 };

export class Lane {
  readonly name: LaneName;
  readonly tally = new Tally();
  readonly wire: Wire;
  state: StateEvent = { state: 'connecting' };
  recovery: Recovery | undefined;
  onArrival: (arrival: Arrival, caughtUp: boolean) => void = () => undefined;
  #client: Tidings | undefined;
  #subscription: Subscription<Data> | undefined;
  #node = NO_COUNTS;
  /** What the node had counted before it was restarted. */
  #before = NO_COUNTS;
  #marked = ZERO;
  #heardAt = now();

  constructor(name: LaneName, intervalMs: number) {
    this.name = name;
    this.wire = new Wire(name === 'poll', intervalMs);
  }

  /**
   * Reads the channel through this port, from where it was, or from `start`; with `fallback` by what is left of the
   * ladder, too. Resolves when it is known where it begins.
   */
  read(channel: string, port: number, fallback: boolean, start: string): Promise<void> {
    const after = this.#subscription?.cursor ?? start;
    this.close();
    const worse = LANES.slice(0, LANES.indexOf(this.name)).reverse();
    const client = new Tidings({
      url: `http://127.0.0.1:${port}`,
      transports: fallback ? [this.name, ...worse] : [this.name],
      shareTabs: false,
      fetch: this.wire.fetch,
      WebSocket: this.wire.WebSocket,
    });
    this.#client = client;
    client.on('state', (state) => {
      if (this.#client === client) this.state = state;
    });
    const onMessage = (message: Message<Data>) => this.#take(message.data);
    this.#subscription = client.channel<Data>(channel).subscribe({ after, onMessage });
    return this.#subscription.ready.then(() => undefined);
  }

  close(): void {
    this.#subscription?.unsubscribe();
    this.#client?.close();
    this.#client = undefined;
  }

  /** What the node's proxy has counted by now. */
  told(counts: LaneCounts): void {
    this.#node = counts;
  }

  /** The node began to count anew. */
  countedAnew(): void {
    const add = (name: 'up' | 'down' | 'opened') => this.#before[name] + this.#node[name];
    this.#before = { ...NO_COUNTS, up: add('up'), down: add('down'), opened: add('opened') };
    this.#node = NO_COUNTS;
  }

  get port(): number {
    return this.#node.port;
  }

  get held(): number {
    return this.#node.held;
  }

  get total(): Counts {
    const { requests, answers, empty } = this.wire.asked;
    const add = (name: 'up' | 'down' | 'opened') => this.#before[name] + this.#node[name];
    const { messages, bytes } = this.tally;
    return { messages, bytes, requests, answers, empty, up: add('up'), down: add('down'), opened: add('opened') };
  }

  /** Counts since the settings are what they are. */
  get counts(): Counts {
    const { total } = this;
    const names = Object.keys(ZERO) as (keyof Counts)[];
    return Object.fromEntries(names.map((name) => [name, total[name] - this.#marked[name]])) as unknown as Counts;
  }

  /** Settings have changed: what is compared is counted from here. */
  mark(): void {
    this.#marked = this.total;
    this.tally.forget();
  }

  /** How long nothing was heard, in milliseconds. */
  get silentMs(): number {
    return now() - this.#heardAt;
  }

  /** Something was done to this lane, or is over now. */
  disturbed(what: string): void {
    const caughtUp = this.recovery && this.recovery.afterMs === undefined ? this.recovery.caughtUp : 0;
    this.recovery = { what, since: now(), caughtUp };
  }

  #take({ n, t, pad }: Data): void {
    const at = now();
    this.#heardAt = at;
    const arrival = { number: n, published: t, at, bytes: 37 + String(n).length + pad.length };
    if (!this.tally.take(arrival)) return;
    const { recovery } = this;
    const caughtUp = recovery !== undefined && recovery.afterMs === undefined && t <= recovery.since;
    if (recovery && recovery.afterMs === undefined) {
      if (caughtUp) recovery.caughtUp++;
      else recovery.afterMs = at - recovery.since;
    }
    this.onArrival(arrival, caughtUp);
  }
}
