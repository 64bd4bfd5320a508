import { UPTIME_MS } from './state.js';
import type { TransportName } from './types.js';

/** How long a transport that failed is left alone at first, and at most; it doubles with each time. */
const BAD_MS = 15_000;
const BAD_LONGEST_MS = 15 * 60_000;
/** How long what worked is remembered, in milliseconds, and for how many nodes. */
const REMEMBERED_MS = 30 * 60_000;
const REMEMBERED_NODES = 10;
const STORE = 'tidings:ladder';
/** Cuts in a row, each soon after it opened, that prove a transport bad. A silent death counts for two of them. */
const STRIKES = 3;
/** How often one that has held is tried again at once, before another is: the node may only have been restarted. */
const PATIENCE = 2;
/** A connection that died silently must have held so long to be no sign of anything. */
const SILENT_UPTIME_MS = 60_000;

type Memory = Record<string, { transport: TransportName; at: number }>;

/** Which transport to try: the best that is not known to be bad on this network. */
export class Ladder {
  readonly #order: readonly TransportName[];
  readonly #node: string;
  readonly #bad = new Map<TransportName, { until: number; times: number }>();
  readonly #strikes = new Map<TransportName, number>();
  /** Tries that are left for one that has held before. */
  readonly #patience = new Map<TransportName, number>();
  /** Those that failed since one worked. They are only proved bad when another one works. */
  readonly #tried = new Set<TransportName>();

  constructor(order: readonly TransportName[], node: string, now: number) {
    this.#order = order;
    this.#node = node;
    const known = recall()[node];
    if (!known || now - known.at > REMEMBERED_MS || !order.includes(known.transport)) return;
    // Another tab is no property of the network.
    for (const name of this.#above(known.transport))
      if (name !== 'tab') this.#bad.set(name, { until: now + BAD_MS, times: 0 });
  }

  /** The next to try, or undefined where all have failed: then wait, and begin again. */
  next(now: number): TransportName | undefined {
    const left = this.#order.filter((name) => !this.#tried.has(name));
    const next = left.find((name) => (this.#bad.get(name)?.until ?? 0) <= now) ?? left[0];
    if (next === undefined) this.#tried.clear();
    return next;
  }

  /**
   * It did not open. Only if another one does, it is to blame, and not the node. True where it deserves another try
   * first: it has held before, and failed `quickly`, as all do while a node is restarted.
   */
  failed(name: TransportName, quickly: boolean): boolean {
    const patience = quickly ? (this.#patience.get(name) ?? 0) : 0;
    this.#patience.set(name, patience - 1);
    this.#strikes.delete(name);
    if (patience > 0) return true;
    this.#tried.add(name);
    return false;
  }

  /** It is proved; so are those bad that failed just before it. */
  opened(name: TransportName, now: number): void {
    for (const other of this.#tried) this.#blame(other, now);
    this.#tried.clear();
    if (name !== 'tab') remember(this.#node, name, now);
  }

  /** It was open for `uptimeMs`, and is lost: silently, or because it was found to be `blocked`. */
  lost(name: TransportName, uptimeMs: number, silent: boolean, blocked: boolean, now: number): void {
    this.#tried.clear();
    if (!blocked && uptimeMs >= (silent ? SILENT_UPTIME_MS : UPTIME_MS)) {
      this.#strikes.delete(name);
      this.#bad.delete(name);
      this.#patience.set(name, PATIENCE);
      return;
    }
    // One that was bad before has no more to prove.
    const strikes = (this.#strikes.get(name) ?? 0) + (blocked || this.#bad.has(name) ? STRIKES : silent ? 2 : 1);
    this.#strikes.set(name, strikes);
    if (strikes < STRIKES || name === this.#order.at(-1)) return;
    this.#strikes.delete(name);
    this.#patience.delete(name);
    this.#blame(name, now);
  }

  /** A better one was tried in the background, and did not open. */
  notYet(name: TransportName, now: number): void {
    this.#blame(name, now);
  }

  /** The network is another one: what was bad may be good. */
  forget(): void {
    for (const bad of this.#bad.values()) bad.until = 0;
  }

  /** The better transport that is worth trying soonest, and in how many milliseconds. */
  better(than: TransportName, now: number): { name: TransportName; inMs: number } | undefined {
    const times = this.#above(than).map((name) => ({
      name,
      inMs: Math.max(0, (this.#bad.get(name)?.until ?? 0) - now),
    }));
    return times.reduce<(typeof times)[0] | undefined>(
      (best, one) => (!best || one.inMs < best.inMs ? one : best),
      undefined,
    );
  }

  #above(name: TransportName): readonly TransportName[] {
    return this.#order.slice(0, Math.max(0, this.#order.indexOf(name)));
  }

  #blame(name: TransportName, now: number): void {
    const times = (this.#bad.get(name)?.times ?? 0) + 1;
    this.#bad.set(name, { until: now + Math.min(BAD_LONGEST_MS, BAD_MS * 2 ** (times - 1)), times });
  }
}

function recall(): Memory {
  try {
    return (JSON.parse(localStorage.getItem(STORE) ?? '{}') as Memory | null) ?? {};
  } catch {
    return {}; // no store here, or another's text in it
  }
}

function remember(node: string, transport: TransportName, at: number): void {
  try {
    const kept = Object.entries({ ...recall(), [node]: { transport, at } }).sort((a, b) => b[1].at - a[1].at);
    localStorage.setItem(STORE, JSON.stringify(Object.fromEntries(kept.slice(0, REMEMBERED_NODES))));
  } catch {
    // it is only a hint
  }
}
