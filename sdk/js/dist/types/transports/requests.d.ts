import type { Read, Transport, Wire } from './transport.js';
/** A browser has six connections to a host over HTTP/1.1: requests that are held leave some for all else. */
export declare const HELD = 4;
/** Reads a few channels by requests until the signal is aborted, or rejects. `proved()` resolves once all of it is. */
export type Run = (reads: Read[], signal: AbortSignal, proved: () => Promise<void>) => Promise<void>;
/** What SSE, long-poll and poll have in common: other channels are another request, from the same cursors. */
export declare class Requests implements Transport {
    #private;
    /** `most`: requests that may be held at once. */
    constructor(wire: Wire, run: Run, most?: number);
    update(): void;
    /** What is held may be dead. */
    wake(): void;
    refresh(): void;
    close(): void;
}
/** Where these reads go on, and how: the query of a request. Their channels come beside it. */
export declare function query(reads: Read[]): [string, string][];
/** The channels of a request to `/v1/subscribe`. */
export declare const channels: (reads: Read[]) => [string, string][];
/** Reads that can share a request: those with the same pace, as many as a URL has room for. */
export declare function grouped(reads: Iterable<Read>): Read[][];
