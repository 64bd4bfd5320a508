import { covers } from './cursor.js';
import { TidingsError } from './errors.js';
import type { End, Gap, Message, SubscribeOptions } from './types.js';

/** Ids that are remembered of each subscription, against a publish that was stored twice. */
const IDS = 512;

/** Calls an application's function: what it throws is its own affair, and stops no message. */
export function call<A extends unknown[]>(handler: ((...args: A) => void) | undefined, ...args: A): void {
  try {
    handler?.(...args);
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown;
    });
  }
}

/** One reader of a channel: a place in its log that only moves forward. Each message once, in order. */
export class Subscription<T = unknown> {
  readonly channel: string;
  /** Resolves with the cursor where it begins: what is published from then on comes. Rejects where it is refused. */
  readonly ready: Promise<string>;
  /** @internal */
  readonly options: SubscribeOptions<T>;
  /** @internal Which version of the read delivers to it, once that is known. */
  version = 0;
  /** @internal Whether what comes over the wire follows its place. */
  live = false;
  readonly #leave: (subscription: Subscription) => void;
  readonly #dedupeMs: number;
  readonly #ids = new Map<string, number>();
  #cursor: string | undefined;
  /** @internal Aborted when it is over. */
  readonly over = new AbortController();
  #begun!: { resolve(cursor: string): void; reject(error: Error): void };

  /** @internal */
  constructor(
    channel: string,
    options: SubscribeOptions<T>,
    dedupeMs: number,
    leave: (subscription: Subscription) => void,
  ) {
    this.channel = channel;
    this.options = options;
    this.#dedupeMs = dedupeMs;
    this.#leave = leave;
    this.ready = new Promise((resolve, reject) => {
      this.#begun = { resolve, reject };
    });
    this.ready.catch(() => undefined); // onError is told as well
  }

  /** The place just after the last message that the application got; undefined before the start is known. Keep it, and go on later with `after`. */
  get cursor(): string | undefined {
    return this.#cursor;
  }

  get closed(): boolean {
    return this.over.signal.aborted;
  }

  /** Reads no more. */
  unsubscribe(): void {
    if (this.closed) return;
    this.over.abort();
    this.live = false;
    this.#begun.reject(new TidingsError('unsubscribed', 'the subscription was ended before it began'));
    this.#leave(this as Subscription);
  }

  /** @internal Its place is known. */
  begin(cursor: string): void {
    this.#cursor ??= cursor;
    this.#begun.resolve(this.#cursor);
  }

  /** @internal A message, unless the application had it. */
  message(message: Message): void {
    if (this.closed || this.#had(message.cursor)) return;
    const twice = this.#isRepeated(message);
    this.#cursor = message.cursor;
    if (!twice) call(this.options.onMessage, decoded(message) as Message<T>);
  }

  /** @internal */
  gap(gap: Gap): void {
    if (this.closed || this.#had(gap.until)) return;
    this.#cursor = gap.until;
    call(this.options.onGap, gap);
  }

  /** @internal */
  end(end: End): void {
    if (this.closed) return;
    this.#cursor = end.cursor;
    this.unsubscribe();
    call(this.options.onEnd, end);
  }

  /** @internal */
  fail(error: Error): void {
    if (this.closed) return;
    this.#begun.reject(error);
    this.unsubscribe();
    call(this.options.onError, error);
  }

  #had(cursor: string): boolean {
    return this.#cursor !== undefined && covers(this.#cursor, cursor);
  }

  /** A publish that was sent again may be stored twice where its key was forgotten: the same id, soon after. */
  #isRepeated({ id, time }: Message): boolean {
    const at = Date.parse(time);
    const before = this.#ids.get(id);
    this.#ids.delete(id);
    this.#ids.set(id, at);
    if (this.#ids.size > IDS) this.#ids.delete(this.#ids.keys().next().value as string);
    return before !== undefined && Math.abs(at - before) < this.#dedupeMs;
  }
}

/** Bytes come as base64 in JSON. */
function decoded(message: Message): Message {
  if (message.encoding !== 'base64' || typeof message.data !== 'string') return message;
  return { ...message, data: Uint8Array.from(atob(message.data), (char) => char.charCodeAt(0)) };
}
