import type { Credentials } from './credentials.js';
import { ofProblem, ofThrown, type Problem, TidingsError } from './errors.js';
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

/** The longest that a short request may take, in milliseconds. */
const TIMEOUT_MS = 5_000;

/** A signal that can be aborted, and is when the other one is. */
export function linked(signal: AbortSignal | undefined): AbortController {
  const abort = new AbortController();
  if (signal?.aborted) abort.abort(signal.reason);
  else signal?.addEventListener('abort', () => abort.abort(signal.reason), { signal: abort.signal });
  return abort;
}

/** A node, asked by HTTP. */
export class Http {
  readonly base: string;
  readonly #credentials: Credentials;
  readonly #fetch: typeof fetch;

  constructor(base: string, credentials: Credentials, fetcher: typeof fetch) {
    this.base = base;
    this.#credentials = credentials;
    this.#fetch = fetcher;
  }

  /**
   * The reply to a request that was not refused. Its body may still be on the way: `timeoutMs` is up to the caller.
   * A refused token is replaced once. Rejects with a TidingsError.
   */
  async ask(path: string, ask: Ask = {}): Promise<Response> {
    const query = ask.query?.length ? `?${new URLSearchParams(ask.query)}` : '';
    for (let again = false; ; again = true) {
      const token = await this.#credentials.get();
      const headers = { ...ask.headers, ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }) };
      const reply = await this.#fetch(this.base + path + query, {
        method: ask.method ?? 'GET',
        headers,
        body: ask.body ?? null,
        signal: ask.signal ?? null,
        // A browser would let requests of one URL wait for each other.
        cache: 'no-store',
        credentials: 'omit',
      }).catch((thrown) => {
        throw ask.signal?.aborted ? ofThrown(ask.signal.reason) : ofThrown(thrown);
      });
      if (reply.ok) return reply;
      const error = await refusal(reply);
      const renewable = error.wantsToken && this.#credentials.refused(token);
      if (again || !renewable) throw error;
    }
  }

  /** The JSON that a request is answered with, and its headers. */
  async json<T>(path: string, ask: Ask = {}): Promise<{ body: T; headers: Headers }> {
    const abort = linked(ask.signal);
    const late = new TidingsError('timeout', 'no answer came in time');
    const timer = setTimeout(() => abort.abort(late), ask.timeoutMs ?? TIMEOUT_MS);
    try {
      const reply = await this.ask(path, { ...ask, signal: abort.signal });
      return { body: (await reply.json()) as T, headers: reply.headers };
    } catch (thrown) {
      throw abort.signal.aborted ? ofThrown(abort.signal.reason) : ofThrown(thrown);
    } finally {
      clearTimeout(timer);
      abort.abort(late); // lets go of the other signal
    }
  }

  /** A page of these channels, and in how many milliseconds it is worth asking for the next. */
  async page(channels: string[], ask: Ask): Promise<{ page: Page; afterMs: number }> {
    const [one] = channels;
    const single = channels.length === 1 && one !== undefined;
    const query = ask.query ?? [];
    if (!single) for (const channel of channels) query.push(['channel', channel]);
    const path = single ? pathOf(one) : '/v1/subscribe';
    const { body, headers } = await this.json<Page>(path, { ...ask, query });
    if (!Array.isArray(body?.messages)) throw new TidingsError('blocked', 'what answered is no Tidings node');
    return { page: body, afterMs: Number(headers.get('Tidings-Poll-After') ?? 1) * 1_000 };
  }
}

/** The URL path of a channel. */
export const pathOf = (channel: string): string => `/v1/channels/${encodeURIComponent(channel)}`;

async function refusal(reply: Response): Promise<TidingsError> {
  const text = await reply.text().catch(() => '');
  const seconds = Number(reply.headers.get('Retry-After') ?? Number.NaN);
  const retryMs = Number.isNaN(seconds) ? undefined : seconds * 1_000;
  if (reply.headers.get('Content-Type')?.includes('problem+json')) {
    try {
      return ofProblem(JSON.parse(text) as Problem, retryMs);
    } catch {
      // cut off in the middle
    }
  }
  return new TidingsError('blocked', `something on the way answered HTTP ${reply.status}`);
}
