import type { Http } from './http.js';
import type { Published, PublishOptions } from './types.js';
/** Takes requests on the connection that there is. */
interface Asks {
    request(ask: object): Promise<Record<string, unknown>>;
}
/** What publishing works with. */
export interface PublishingParts {
    http: Http;
    /** Whether there is a connection. `wake` is called when there is one again. */
    connected(): boolean;
    session(): Asks | undefined;
    /** Resolves when the client's own subscriptions of these channels have begun. */
    begun(channels: Iterable<string>): Promise<void>;
    /** Messages that may wait. */
    bound: number;
    /** The server's window for idempotency keys, in milliseconds. */
    dedupeMs: number;
}
/**
 * The publishes of a client: each stored once, with one key over all its tries. In the order of the calls, but for one
 * case: those behind one that is refused for the moment may be stored before it.
 */
export declare class Publishing {
    #private;
    constructor(parts: PublishingParts);
    /** Resolves when the message is stored. */
    publish(channel: string, data: unknown, options: PublishOptions): Promise<Published>;
    /** There is a connection again. */
    wake(): void;
    /** Rejects what waits: `unknown-outcome` where it may have been stored. */
    close(): void;
}
export {};
