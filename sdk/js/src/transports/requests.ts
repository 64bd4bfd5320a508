import { ofThrown, TidingsError } from '../errors.js';
import type { Read, Transport, Wire } from './transport.js';

/** Most channels of one request, and most characters of its query. */
const CHANNELS = 100;
const QUERY_CHARS = 14_000;
/** A browser has six connections to a host over HTTP/1.1: requests that are held leave some for all else. */
export const HELD = 4;
/** Changes that come so close together make one new request, in milliseconds. */
const SETTLE_MS = 5;

/** Reads a few channels by requests until the signal is aborted, or rejects. `proved()` resolves once all of it is. */
export type Run = (reads: Read[], signal: AbortSignal, proved: () => Promise<void>) => Promise<void>;

/** What SSE, long-poll and poll have in common: other channels are another request, from the same cursors. */
export class Requests implements Transport {
  readonly #wire: Wire;
  readonly #run: Run;
  readonly #most: number;
  #round = new AbortController();
  #open: (() => void) | undefined;
  readonly #opened: Promise<void>;
  #unproved = 1;
  #settle: ReturnType<typeof setTimeout> | undefined;

  /** `most`: requests that may be held at once. */
  constructor(wire: Wire, run: Run, most = Number.POSITIVE_INFINITY) {
    this.#wire = wire;
    this.#run = run;
    this.#most = most;
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
    this.#begin();
  }

  update(): void {
    this.#round.abort();
    clearTimeout(this.#settle);
    this.#settle = setTimeout(() => this.#begin(), SETTLE_MS);
  }

  /** What is held may be dead. */
  wake(): void {
    this.update();
  }

  refresh(): void {
    this.update();
  }

  close(): void {
    clearTimeout(this.#settle);
    this.#round.abort();
    this.#open?.(); // nobody waits for what will not be
  }

  #begin(): void {
    this.#round = new AbortController();
    const { signal } = this.#round;
    const groups = grouped(this.#wire.reads.values());
    this.#unproved = Math.max(1, groups.length);
    if (groups.length === 0) this.#guard(this.#probe(signal), [], signal);
    const many = new TidingsError(
      'blocked',
      `${groups.length} requests would be held at once: too many channels for this transport`,
    );
    if (groups.length > this.#most) return void this.#guard(Promise.reject(many), [], signal);
    for (const group of groups) {
      let counted = false;
      const proved = () => {
        if (!counted && !signal.aborted && --this.#unproved === 0) this.#prove();
        counted = true;
        return this.#opened;
      };
      this.#guard(this.#run(group, signal, proved), group, signal);
    }
  }

  #prove(): void {
    if (!this.#open) return;
    this.#wire.emit({ type: 'open' });
    this.#open();
    this.#open = undefined;
  }

  /** With nothing to read: a request that names no channel is refused by a node, and by nobody else. */
  async #probe(signal: AbortSignal): Promise<void> {
    await this.#wire.http.json('/v1/subscribe', { signal }).catch((error: TidingsError) => {
      if (!error.answered || error.passing || error.wantsToken) throw error;
    });
    if (!signal.aborted) this.#prove();
  }

  async #guard(running: Promise<void>, reads: Read[], signal: AbortSignal): Promise<void> {
    try {
      await running;
    } catch (thrown) {
      if (signal.aborted) return;
      const error = ofThrown(thrown);
      const refused = error.answered && !error.passing && !error.wantsToken;
      if (refused && (await this.#blame(reads, error, signal))) return this.update();
      if (signal.aborted) return;
      this.close();
      this.#wire.emit({
        type: 'closed',
        fault: {
          error,
          silent: error.code === 'silent',
          renewed: error.wantsToken && this.#wire.credentials.renewable,
        },
      });
    }
  }

  /** A request is refused as a whole: says which of its channels are meant. */
  async #blame(reads: Read[], refusal: TidingsError, signal: AbortSignal): Promise<boolean> {
    let found = false;
    for (const read of reads) {
      const error = reads.length === 1 ? refusal : await this.#refusalOf(read, signal);
      if (signal.aborted) return false;
      if (error) this.#wire.emit({ type: 'refused', channel: read.channel, error });
      found ||= error !== undefined;
    }
    return found;
  }

  async #refusalOf(read: Read, signal: AbortSignal): Promise<TidingsError | undefined> {
    try {
      await this.#wire.http.page([read.channel], { query: [...query([read]), ['limit', '1']], signal });
      return undefined;
    } catch (thrown) {
      return thrown instanceof TidingsError && thrown.answered && !thrown.passing ? thrown : undefined;
    }
  }
}

/** Where these reads go on, and how: the query of a request. Their channels come beside it. */
export function query(reads: Read[]): [string, string][] {
  const parts: [string, string][] = [['after', reads.map((read) => read.cursor).join('')]];
  const [first] = reads;
  if (first?.maxRate !== undefined) parts.push(['max_rate', String(first.maxRate)]);
  if (first?.conflate !== undefined) parts.push(['conflate', first.conflate]);
  return parts;
}

/** The channels of a request to `/v1/subscribe`. */
export const channels = (reads: Read[]): [string, string][] => reads.map((read) => ['channel', read.channel]);

/** Reads that can share a request: those with the same pace, as many as a URL has room for. */
export function grouped(reads: Iterable<Read>): Read[][] {
  const groups: Read[][] = [];
  const open = new Map<string, { reads: Read[]; chars: number }>();
  for (const read of reads) {
    const chars = encodeURIComponent(read.channel).length + read.cursor.length + 10;
    // A paced read has its own rate, so it has its own request.
    const pace = read.maxRate === undefined ? '' : read.channel;
    let group = open.get(pace);
    if (!group || group.reads.length >= CHANNELS || group.chars + chars > QUERY_CHARS) {
      group = { reads: [], chars: 0 };
      open.set(pace, group);
      groups.push(group.reads);
    }
    group.reads.push(read);
    group.chars += chars;
  }
  return groups;
}
