// A lane's own fetch and WebSocket: they count requests and empty answers, and a poll asks at the interval that is set.

/** What is counted where a client asks. Cross-checks are requests, too. */
export interface Asked {
  requests: number;
  /** Answers to polls and long-polls, and those without a message. */
  answers: number;
  empty: number;
}

/** The client gives a request five seconds in all: a longer wait is answered here in between, without the network. */
const SLICE_MS = 3_500;
/** How the client asks for a page when it polls, in either way. */
const PAGE_LIMIT = '1000';

export class Wire {
  readonly asked: Asked = { requests: 0, answers: 0, empty: 0 };
  readonly WebSocket: typeof WebSocket;
  readonly #paced: boolean;
  #intervalMs: number;
  #last = Number.NEGATIVE_INFINITY;
  #changed = new AbortController();

  /** `paced`: polls are held until `intervalMs` after the last. */
  constructor(paced: boolean, intervalMs: number) {
    this.#paced = paced;
    this.#intervalMs = intervalMs;
    const { asked } = this;
    this.WebSocket = class extends WebSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(url, protocols);
        asked.requests++;
      }
    };
  }

  set intervalMs(ms: number) {
    this.#intervalMs = ms;
    this.#changed.abort();
    this.#changed = new AbortController();
  }

  readonly fetch: typeof fetch = async (input, init) => {
    const url = new URL(String(input));
    const isPage = url.searchParams.get('limit') === PAGE_LIMIT && !init?.method?.startsWith('P');
    const isPoll = isPage && this.#paced && !url.searchParams.has('wait');
    if (isPoll && !(await this.#due(init?.signal ?? undefined))) return nothing(url);
    this.asked.requests++;
    const reply = await fetch(input, init);
    if (!isPage || !reply.ok) return reply;
    const text = await reply.text();
    this.asked.answers++;
    if (text.includes('"messages":[]')) this.asked.empty++;
    const headers = new Headers(reply.headers);
    // The pace is set on the page, not by the node or by how much there is.
    if (isPoll) headers.set('Tidings-Poll-After', '0');
    return new Response(text, { status: reply.status, headers });
  };

  /** Waits for the interval to be over, for as long as the client has patience; whether it is over. */
  async #due(signal: AbortSignal | undefined): Promise<boolean> {
    const patience = performance.now() + SLICE_MS;
    for (;;) {
      if (signal?.aborted) throw signal.reason;
      const now = performance.now();
      const due = this.#last + this.#intervalMs;
      if (now >= due) {
        this.#last = now;
        return true;
      }
      if (now >= patience) return false;
      await pause(Math.min(due, patience) - now, signal, this.#changed.signal);
    }
  }
}

/** What a poll is answered that did not set out. */
function nothing(url: URL): Response {
  const page = { messages: [], cursor: url.searchParams.get('after') ?? '', gap: null, delivery: 'at-least-once' };
  return new Response(JSON.stringify(page), { headers: { 'Tidings-Poll-After': '0' } });
}

function pause(ms: number, ...signals: (AbortSignal | undefined)[]): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      for (const signal of signals) signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    for (const signal of signals) signal?.addEventListener('abort', done);
  });
}
