import type { Subscription } from './subscription.js';
import type { Gap, Message, SubscribeOptions } from './types.js';
type Handlers<T> = Pick<SubscribeOptions<T>, 'onMessage' | 'onGap' | 'onEnd' | 'onError' | 'after' | 'last'>;
type Open<T> = (handlers: Handlers<T>) => Subscription<T>;
/** Messages that wait for a `for await`. When too many do, it reads no more, and goes on after the last one later. */
export declare class Incoming<T> implements AsyncIterableIterator<Message<T>> {
    #private;
    constructor(open: Open<T>, bound: number, onGap: ((gap: Gap) => void) | undefined);
    next(): Promise<IteratorResult<Message<T>>>;
    return(): Promise<IteratorResult<Message<T>>>;
    [Symbol.asyncIterator](): this;
}
export {};
