import type { Subscription } from './subscription.js';
import type { Gap, History, Message, Place, Presence, Published, PublishOptions, SubscribeOptions } from './types.js';
/** What `loadThenFollow` loads: a response of your own endpoint, or what you made of it. */
export type Load<S> = () => Promise<Response | S>;
/** Options of `loadThenFollow`. */
export interface FollowOptions<S, T> extends Omit<SubscribeOptions<T>, 'after' | 'last' | 'onGap'> {
    /** The state, before the first message that changes it; and again after a gap. */
    onSnapshot: (snapshot: S) => void;
    /** A gap, before the state is loaded anew. */
    onGap?: (gap: Gap) => void;
}
/** A channel: a named, ordered log of messages. `T` is what its messages hold. */
export declare class Channel<T = unknown> implements AsyncIterable<Message<T>> {
    #private;
    readonly name: string;
    /** Reads the channel, from `latest` unless `after` or `last` says otherwise. */
    subscribe(options: SubscribeOptions<T>): Subscription<T>;
    /**
     * Stores a message: anything that JSON can say, or bytes. Resolves when it is stored; tries again as long as that
     * is safe, with one key. What you publish without waiting is stored in this order, but for messages that the server
     * refuses for the moment (`rate-limited`): wait for each where that matters. Rejects with the server's code, `queue-full` or `unknown-outcome`.
     */
    publish(data: T, options?: PublishOptions): Promise<Published>;
    /** A page of what the channel keeps, from `earliest` unless it says otherwise. `limit` is 100, at most 1,000. */
    history(options?: Place & {
        limit?: number;
    }): Promise<History<T>>;
    /** Who reads the channel now. Rejects with `presence-off` where the namespace keeps none. */
    presence(): Promise<Presence>;
    /**
     * The messages, one after the other. At most `buffer` (1,000) wait for you; while they do, the reader falls behind
     * in the log, and catches up later. A gap throws (code `gap`), unless `onGap` takes it.
     */
    messages(options?: Omit<SubscribeOptions<T>, 'onMessage' | 'onEnd' | 'onError'> & {
        buffer?: number;
    }): AsyncIterableIterator<Message<T>>;
    [Symbol.asyncIterator](): AsyncIterableIterator<Message<T>>;
    /**
     * The state of your own endpoint, and each change after it. The place in the log is taken before `load` is called,
     * or from the response's `Tidings-Cursor` header: without the header a change may be seen twice, never missed.
     * After a gap the state is loaded anew. Resolves when the first state was told; rejects when `load` does.
     */
    loadThenFollow<S>(load: Load<S>, options: FollowOptions<S, T>): Promise<{
        unsubscribe(): void;
    }>;
}
