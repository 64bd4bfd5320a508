/** The longest wait between two tries, in milliseconds. */
export const LONGEST_MS = 20_000;
const BASE_MS = 400;

/** Exponential backoff with full jitter: anything from 0 to a bound that doubles with each failed try. */
export function backoffMs(attempt: number, random: () => number = Math.random): number {
  return Math.round(random() * Math.min(LONGEST_MS, BASE_MS * 2 ** Math.min(attempt, 16)));
}
