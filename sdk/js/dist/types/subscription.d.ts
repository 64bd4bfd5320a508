/** Calls an application's function: what it throws is its own affair, and stops no message. */
export declare function call<A extends unknown[]>(handler: ((...args: A) => void) | undefined, ...args: A): void;
/** One reader of a channel: a place in its log that only moves forward. Each message once, in order. */
export declare class Subscription<T = unknown> {
    #private;
    readonly channel: string;
    /** Resolves with the cursor where it begins: what is published from then on comes. Rejects where it is refused. */
    readonly ready: Promise<string>;
    /** The place just after the last message that the application got; undefined before the start is known. Keep it, and go on later with `after`. */
    get cursor(): string | undefined;
    get closed(): boolean;
    /** Reads no more. */
    unsubscribe(): void;
}
