import { TidingsError } from './errors.js';
import { type Http, pathOf } from './http.js';
import { Incoming } from './incoming.js';
import type { Publishing } from './publishing.js';
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

/** @internal What a channel works with. */
export interface ChannelParts {
  http: Http;
  publishing: Publishing;
  subscribe<T>(channel: string, options: SubscribeOptions<T>): Subscription<T>;
}

/** A channel: a named, ordered log of messages. `T` is what its messages hold. */
export class Channel<T = unknown> implements AsyncIterable<Message<T>> {
  readonly name: string;
  readonly #parts: ChannelParts;

  /** @internal */
  constructor(name: string, parts: ChannelParts) {
    this.name = name;
    this.#parts = parts;
  }

  /** Reads the channel, from `latest` unless `after` or `last` says otherwise. */
  subscribe(options: SubscribeOptions<T>): Subscription<T> {
    return this.#parts.subscribe(this.name, options);
  }

  /**
   * Stores a message: anything that JSON can say, or bytes. Resolves when it is stored; tries again as long as that
   * is safe, with one key. What you publish without waiting is stored in this order, but for messages that the server
   * refuses for the moment (`rate-limited`): wait for each where that matters. Rejects with the server's code, `queue-full` or `unknown-outcome`.
   */
  publish(data: T, options: PublishOptions = {}): Promise<Published> {
    return this.#parts.publishing.publish(this.name, data, options);
  }

  /** A page of what the channel keeps, from `earliest` unless it says otherwise. `limit` is 100, at most 1,000. */
  async history(options: Place & { limit?: number } = {}): Promise<History<T>> {
    const query: [string, string][] = Object.entries(options).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, String(value)]],
    );
    return (await this.#parts.http.page([this.name], { query })).page as History<T>;
  }

  /** Who reads the channel now. Rejects with `presence-off` where the namespace keeps none. */
  async presence(): Promise<Presence> {
    return (await this.#parts.http.json<Presence>(`${pathOf(this.name)}/presence`)).body;
  }

  /**
   * The messages, one after the other. At most `buffer` (1,000) wait for you; while they do, the reader falls behind
   * in the log, and catches up later. A gap throws (code `gap`), unless `onGap` takes it.
   */
  messages(
    options: Omit<SubscribeOptions<T>, 'onMessage' | 'onEnd' | 'onError'> & { buffer?: number } = {},
  ): AsyncIterableIterator<Message<T>> {
    return new Incoming<T>(
      (handlers) => this.subscribe({ ...options, ...handlers }),
      options.buffer ?? 1_000,
      options.onGap,
    );
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Message<T>> {
    return this.messages();
  }

  /**
   * The state of your own endpoint, and each change after it. The place in the log is taken before `load` is called,
   * or from the response's `Tidings-Cursor` header: without the header a change may be seen twice, never missed.
   * After a gap the state is loaded anew. Resolves when the first state was told; rejects when `load` does.
   */
  async loadThenFollow<S>(load: Load<S>, options: FollowOptions<S, T>): Promise<{ unsubscribe(): void }> {
    const { onSnapshot, onGap, ...rest } = options;
    let following: Subscription<T> | undefined;
    let over = false;
    const follow = async (): Promise<void> => {
      const { cursor: latest } = await this.history({ after: 'latest' });
      const loaded = await load();
      const isResponse = typeof Response === 'function' && loaded instanceof Response;
      if (isResponse && !loaded.ok)
        throw new TidingsError('load-failed', `the endpoint answered HTTP ${loaded.status}`);
      const after = (isResponse && loaded.headers.get('Tidings-Cursor')) || latest;
      const snapshot = (isResponse ? await loaded.json() : loaded) as S;
      if (over) return;
      onSnapshot(snapshot);
      following = this.subscribe({
        ...rest,
        after,
        onGap: (gap) => {
          following?.unsubscribe();
          onGap?.(gap);
          follow().catch((error) => options.onError?.(error));
        },
      });
    };
    await follow();
    return {
      unsubscribe: () => {
        over = true;
        following?.unsubscribe();
      },
    };
  }
}
