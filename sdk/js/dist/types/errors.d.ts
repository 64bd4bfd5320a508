/** A problem as the server writes it (RFC 9457). */
export interface Problem {
    code?: string;
    detail?: string;
    title?: string;
    status?: number;
    stored?: boolean | 'unknown';
    retry_ms?: number;
}
/** What went wrong. `code` is stable: the server's (docs/errors.md), or one of this library (README). */
export declare class TidingsError extends Error {
    readonly name = "TidingsError";
    readonly code: string;
    /** Whether a refused publish may have been stored. */
    readonly stored: boolean | 'unknown' | undefined;
    /** When the server wants to see you again, in milliseconds. */
    readonly retryMs: number | undefined;
    /** Whether a server of Tidings said so, and not the way to it. */
    readonly answered: boolean;
    constructor(code: string, detail: string, more?: {
        stored?: boolean | 'unknown' | undefined;
        retryMs?: number | undefined;
        status?: number | undefined;
        answered?: boolean;
        cause?: unknown;
    });
    /** The HTTP status that goes with it, where a server answered. */
    readonly status: number | undefined;
    /** Whether the same request may succeed later. */
    get passing(): boolean;
    /** The same, after so many tries: a token source may give an ended token a few times, and then a good one. */
    passingAt(tries: number): boolean;
    /** Whether another token might help. */
    get wantsToken(): boolean;
}
/** A problem of the server as an error. */
export declare function ofProblem(problem: Problem, retryMs?: number): TidingsError;
/** Whatever was thrown, as an error of this library. */
export declare function ofThrown(thrown: unknown): TidingsError;
