/** The longest wait between two tries, in milliseconds. */
export declare const LONGEST_MS = 20000;
/** Exponential backoff with full jitter: anything from 0 to a bound that doubles with each failed try. */
export declare function backoffMs(attempt: number, random?: () => number): number;
