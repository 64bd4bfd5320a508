import type { Credentials } from './credentials.js';
import type { End, Gap, Message } from './types.js';
/** What a request says beside its path. */
export interface Ask {
    query?: [name: string, value: string][];
    method?: string;
    body?: string;
    headers?: Record<string, string>;
    signal?: AbortSignal | undefined;
    /** The whole reply must be there by then, in milliseconds. */
    timeoutMs?: number;
}
/** A page of one or several logs. */
export interface Page {
    messages: Message[];
    cursor: string;
    gap: Gap | null;
    delivery: string;
    ended?: End[];
}
/** A signal that can be aborted, and is when the other one is. */
export declare function linked(signal: AbortSignal | undefined): AbortController;
/** A node, asked by HTTP. */
export declare class Http {
    #private;
    readonly base: string;
    constructor(base: string, credentials: Credentials, fetcher: typeof fetch);
    /**
     * The reply to a request that was not refused. Its body may still be on the way: `timeoutMs` is up to the caller.
     * A refused token is replaced once. Rejects with a TidingsError.
     */
    ask(path: string, ask?: Ask): Promise<Response>;
    /** The JSON that a request is answered with, and its headers. */
    json<T>(path: string, ask?: Ask): Promise<{
        body: T;
        headers: Headers;
    }>;
    /** A page of these channels, and in how many milliseconds it is worth asking for the next. */
    page(channels: string[], ask: Ask): Promise<{
        page: Page;
        afterMs: number;
    }>;
}
/** The URL path of a channel. */
export declare const pathOf: (channel: string) => string;
