import { TidingsError } from './errors.js';
import type { Subscription } from './subscription.js';
import type { Gap, Message, SubscribeOptions } from './types.js';

type Handlers<T> = Pick<SubscribeOptions<T>, 'onMessage' | 'onGap' | 'onEnd' | 'onError' | 'after' | 'last'>;
type Open<T> = (handlers: Handlers<T>) => Subscription<T>;

/** Messages that wait for a `for await`. When too many do, it reads no more, and goes on after the last one later. */
export class Incoming<T> implements AsyncIterableIterator<Message<T>> {
  readonly #open: Open<T>;
  readonly #bound: number;
  readonly #onGap: ((gap: Gap) => void) | undefined;
  readonly #waiting: Message<T>[] = [];
  #wanted: { resolve(result: IteratorResult<Message<T>>): void; reject(error: Error): void }[] = [];
  #subscription: Subscription<T> | undefined;
  /** Where to go on, while it reads no more. */
  #paused: string | undefined;
  #error: Error | undefined;
  #done = false;

  constructor(open: Open<T>, bound: number, onGap: ((gap: Gap) => void) | undefined) {
    this.#open = open;
    this.#bound = Math.max(1, bound);
    this.#onGap = onGap;
    this.#read();
  }

  next(): Promise<IteratorResult<Message<T>>> {
    const message = this.#waiting.shift();
    if (message) {
      if (this.#paused !== undefined && this.#waiting.length <= this.#bound / 2) this.#read(this.#paused);
      return Promise.resolve({ done: false, value: message });
    }
    if (this.#error) {
      const error = this.#error;
      this.#error = undefined;
      return Promise.reject(error);
    }
    if (this.#done) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve, reject) => this.#wanted.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<Message<T>>> {
    this.#waiting.length = 0;
    this.#finish();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #read(after?: string): void {
    this.#paused = undefined;
    const onGap =
      this.#onGap ??
      ((gap: Gap) =>
        this.#finish(
          new TidingsError(
            'gap',
            `messages of ${gap.channel} are missing: ${gap.why}; load your state, and read again`,
          ),
        ));
    this.#subscription = this.#open({
      // A place to go on from beats where it began.
      ...(after !== undefined && { after, last: undefined }),
      onMessage: (message) => this.#take(message),
      onGap,
      onEnd: () => this.#finish(),
      onError: (error) => this.#finish(error),
    });
  }

  #take(message: Message<T>): void {
    const wanted = this.#wanted.shift();
    if (wanted) return wanted.resolve({ done: false, value: message });
    this.#waiting.push(message);
    if (this.#waiting.length < this.#bound) return;
    this.#paused = message.cursor;
    this.#subscription?.unsubscribe();
  }

  #finish(error?: Error): void {
    if (this.#done) return;
    this.#done = true;
    this.#paused = undefined;
    this.#subscription?.unsubscribe();
    const [first, ...others] = this.#wanted;
    this.#wanted = [];
    if (error && first) first.reject(error);
    else if (error) this.#error = error;
    else first?.resolve({ done: true, value: undefined });
    for (const one of others) one.resolve({ done: true, value: undefined });
  }
}
