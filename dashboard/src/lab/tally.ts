// What one lane was given, held against what was published.

/** One message, as it arrived. */
export interface Arrival {
  number: number;
  /** When it was published and when it arrived, in milliseconds since the epoch. */
  published: number;
  at: number;
  /** Bytes of its data. */
  bytes: number;
}

/** How long latencies count, and how many of them at most. */
export const WINDOW_MS = 60_000;
const KEPT = 6_000;
/** Numbers that are missing are remembered up to so many. */
const MISSING_MAX = 50_000;

export class Tally {
  messages = 0;
  bytes = 0;
  duplicated = 0;
  /** The highest number that came. */
  highest = 0;
  readonly #missing = new Set<number>();
  #forgotten = 0;
  #arrivals: Arrival[] = [];

  /** Numbers that came no more, though higher ones did. */
  get lost(): number {
    return this.#missing.size + this.#forgotten;
  }

  /** Takes a message; whether it is a new one. */
  take(arrival: Arrival): boolean {
    const { number } = arrival;
    if (number <= this.highest) {
      if (!this.#missing.delete(number)) {
        this.duplicated++;
        return false;
      }
    } else {
      for (let gone = this.highest + 1; gone < number; gone++) this.#miss(gone);
      this.highest = number;
    }
    this.messages++;
    this.bytes += arrival.bytes;
    this.#arrivals.push(arrival);
    if (this.#arrivals.length > KEPT * 2) this.#arrivals = this.#arrivals.slice(-KEPT);
    return true;
  }

  /** The latest arrivals: those of the last minute, or since `forget`. */
  recent(now: number): readonly Arrival[] {
    const first = this.#arrivals.findIndex(({ at }) => at > now - WINDOW_MS);
    this.#arrivals = first < 0 ? [] : this.#arrivals.slice(Math.max(first, this.#arrivals.length - KEPT));
    return this.#arrivals;
  }

  /** Latencies count from now on: something was set that changes them. */
  forget(): void {
    this.#arrivals = [];
  }

  #miss(number: number): void {
    if (this.#missing.size < MISSING_MAX) this.#missing.add(number);
    else this.#forgotten++;
  }
}

export interface Quantiles {
  count: number;
  p50: number;
  p99: number;
}

/** The median and the 99th percentile of latencies in milliseconds (nearest rank), or undefined where there is none. */
export function quantiles(arrivals: readonly Arrival[]): Quantiles | undefined {
  if (arrivals.length === 0) return undefined;
  const sorted = Float64Array.from(arrivals, ({ at, published }) => Math.max(0, at - published)).sort();
  const rank = (part: number) => sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? 0;
  return { count: sorted.length, p50: rank(0.5), p99: rank(0.99) };
}
