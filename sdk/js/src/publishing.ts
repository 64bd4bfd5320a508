import { backoffMs } from './backoff.js';
import { sleep } from './clock.js';
import { ofProblem, ofThrown, type Problem, TidingsError } from './errors.js';
import type { Http } from './http.js';
import type { Published, PublishOptions } from './types.js';

/** A message as a session or a batch takes it. */
interface Draft extends PublishOptions {
  channel: string;
  data: unknown;
  encoding?: 'base64';
  id: string;
}

interface Entry {
  draft: Draft;
  /** Characters of its data. */
  chars: number;
  /** When it was first sent, in milliseconds; 0 while it never was. */
  sent: number;
  attempts: number;
  resolve(published: Published): void;
  reject(error: TidingsError): void;
}

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

/** The longest that a timer can wait. */
const FOREVER_MS = 2 ** 31 - 1;
/** What is sent at once. */
const BATCH = 100;
const BATCH_CHARS = 256 * 1024;
/** A larger message goes by HTTP, where one that is too large ends no connection. */
const FRAME_CHARS = 16 * 1024;
/** A retry that leaves later than this before the end of the window might arrive after it, in milliseconds. */
const MARGIN_MS = 10_000;

/**
 * The publishes of a client: each stored once, with one key over all its tries. In the order of the calls, but for one
 * case: those behind one that is refused for the moment may be stored before it.
 */
export class Publishing {
  readonly #parts: PublishingParts;
  readonly #queue: Entry[] = [];
  readonly #closed = new AbortController();
  #wake = new AbortController();
  #running = false;
  /** How many go out together: more with each success, one after a refusal, so that few are behind the next. */
  #most = 1;

  constructor(parts: PublishingParts) {
    this.#parts = parts;
  }

  /** Resolves when the message is stored. */
  publish(channel: string, data: unknown, options: PublishOptions): Promise<Published> {
    if (this.#closed.signal.aborted) return Promise.reject(new TidingsError('closed', 'the client is closed'));
    if (this.#queue.length >= this.#parts.bound) {
      const detail = `${this.#parts.bound} messages wait for a connection already: wait for some of them, or raise \`queue\``;
      return Promise.reject(new TidingsError('queue-full', detail));
    }
    const bytes = data instanceof Uint8Array;
    const body = bytes ? base64(data) : data;
    // What cannot be sent is refused now, and as it is now: the object may change while it waits.
    const text = JSON.stringify(body);
    if (text === undefined) return Promise.reject(new TidingsError('bad-data', 'this cannot be written as JSON'));
    const draft: Draft = {
      ...options,
      channel,
      data: JSON.parse(text),
      id: options.id ?? crypto.randomUUID(),
      ...(bytes && { encoding: 'base64' }),
    };
    return new Promise((resolve, reject) => {
      this.#queue.push({ draft, chars: text.length, sent: 0, attempts: 0, resolve, reject });
      this.#run();
    });
  }

  /** There is a connection again. */
  wake(): void {
    this.#wake.abort();
    this.#wake = new AbortController();
  }

  /** Rejects what waits: `unknown-outcome` where it may have been stored. */
  close(): void {
    this.#closed.abort();
    for (const entry of this.#queue.splice(0))
      entry.reject(entry.sent ? unknown() : new TidingsError('closed', 'the client was closed before this was sent'));
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    await undefined; // what is published in one breath goes out together
    let failed = 0;
    while (this.#queue.length > 0) {
      // What was never sent may wait for ever; what is sent without a network might have arrived, or not.
      const waitMs = this.#parts.connected() ? await this.#send(await this.#batch()) : FOREVER_MS;
      failed = waitMs === undefined ? 0 : failed + 1;
      if (waitMs !== undefined)
        await sleep(Math.min(waitMs || backoffMs(failed), this.#untilEnd()), this.#closed.signal, this.#wake.signal);
      this.#expire();
    }
    this.#running = false;
  }

  /** The next that go out together: in order, and by one way. */
  async #batch(): Promise<Entry[]> {
    const batch: Entry[] = [];
    let chars = 0;
    for (const entry of this.#queue) {
      chars += entry.chars;
      if (batch.length > 0 && (batch.length >= this.#most || chars > BATCH_CHARS)) break;
      batch.push(entry);
    }
    // The client's own subscriptions go first, so that they get what it publishes.
    await this.#parts.begun(batch.map((entry) => entry.draft.channel));
    this.#expire();
    return batch.filter((entry) => this.#queue.includes(entry));
  }

  /** Gives the milliseconds to wait (0: as many as you like) where some have to be sent again. */
  async #send(batch: Entry[]): Promise<number | undefined> {
    if (batch.length === 0) return undefined;
    const now = Date.now();
    // What failed once goes by HTTP: a frame that a session cannot take would end each of them.
    const bySession = batch.every((entry) => entry.attempts === 0 && entry.chars <= FRAME_CHARS);
    const session = bySession ? this.#parts.session() : undefined;
    const before = batch.map((entry) => entry.sent);
    for (const entry of batch) {
      entry.sent ||= now;
      entry.attempts++;
    }
    const results = session
      ? await Promise.all(batch.map((entry) => frame(session, entry.draft)))
      : await this.#post(batch);
    let waitMs: number | undefined;
    for (const [i, entry] of batch.entries()) {
      const result = results[i] ?? new TidingsError('blocked', 'the answer has no result for this message');
      if (!(result instanceof TidingsError)) this.#settle(entry, () => entry.resolve(result));
      else if (!result.passingAt(entry.attempts)) this.#settle(entry, () => entry.reject(result));
      else {
        // Not stored, for sure: it is as old as it was before. An earlier try may still have been.
        if (result.answered && result.stored !== 'unknown') entry.sent = before[i] ?? 0;
        waitMs = Math.max(waitMs ?? 0, result.retryMs ?? 0);
      }
    }
    this.#most = waitMs === undefined ? Math.min(2 * this.#most, BATCH) : 1;
    return waitMs;
  }

  async #post(batch: Entry[]): Promise<(Published | TidingsError)[]> {
    try {
      const body = JSON.stringify({ messages: batch.map((entry) => entry.draft) });
      const ask = {
        method: 'POST',
        body,
        headers: { 'Content-Type': 'application/json' },
        signal: this.#closed.signal,
        timeoutMs: MARGIN_MS,
      };
      const reply = await this.#parts.http.json<{ results: ({ error: Problem } | Published)[] }>('/v1/publish', ask);
      return reply.body.results.map((result) => ('error' in result ? ofProblem(result.error) : result));
    } catch (thrown) {
      const error = ofThrown(thrown);
      return batch.map(() => error);
    }
  }

  #settle(entry: Entry, settle: () => void): void {
    const at = this.#queue.indexOf(entry);
    if (at < 0) return;
    this.#queue.splice(at, 1);
    settle();
  }

  #lastTry(entry: Entry): number {
    return entry.sent + this.#parts.dedupeMs - Math.min(MARGIN_MS, this.#parts.dedupeMs / 4);
  }

  /** Milliseconds until the first one may not be sent again. */
  #untilEnd(): number {
    const now = Date.now();
    const ends = this.#queue.filter((entry) => entry.sent).map((entry) => this.#lastTry(entry) - now);
    return Math.max(0, Math.min(FOREVER_MS, ...ends));
  }

  /** Whose key the server may have forgotten is never sent again. */
  #expire(): void {
    const now = Date.now();
    for (const entry of [...this.#queue])
      if (entry.sent && now >= this.#lastTry(entry)) this.#settle(entry, () => entry.reject(unknown()));
  }
}

async function frame(session: Asks, draft: Draft): Promise<Published | TidingsError> {
  try {
    return (await session.request({ publish: draft }))['published'] as Published;
  } catch (thrown) {
    return ofThrown(thrown);
  }
}

const unknown = () =>
  new TidingsError(
    'unknown-outcome',
    'it was sent and never answered, and its key may be forgotten by now: read the channel to see whether it was stored',
    {
      stored: 'unknown',
    },
  );

function base64(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}
