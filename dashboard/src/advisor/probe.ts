// What the network between this page and its node lets through, measured with the browser's own means.

/** What became of one transport. */
export interface Tried {
  /** Milliseconds until the node's first words were here. */
  opened_ms?: number;
  /** Why it does not work. */
  trouble?: string;
}

/** What became of a connection that was held. */
export interface Held {
  seconds: number;
  /** After how many seconds it was cut, if it was. */
  cut_after_s?: number;
}

export interface Finding {
  /** The median of five requests. */
  round_trip_ms: number;
  ws: Tried;
  sse: Tried;
  'long-poll': Tried;
  /** A request to which nothing is said for a time; if that was asked for. */
  silent?: Held;
  /** A stream, on which the node gives a sign of life each 15 s; if that was asked for. */
  stream?: Held;
}

/** The longest that the node leaves a request unanswered, in seconds. */
export const SILENT_MAX_S = 60;
/** Words that are this late were held back: a node says its first at once. */
const LATE_MS = 5000;
const ROUNDS = 5;
const PATH = '/v1/channels/demo:probe';

/** Answers the question what lies between, as `tidings advise --probe` does. */
export function network({ ws, sse }: Finding): string {
  if (sse.trouble) return 'buffering';
  return ws.trouble ? 'no-upgrades' : 'direct';
}

/**
 * Asks the node; publishes nothing. Holds connections for `idle_s` seconds where that is over 0. Rejects where not even
 * a plain request is answered, or when `signal` ends it.
 */
export async function probe(idle_s: number, signal: AbortSignal, step: (what: string) => void): Promise<Finding> {
  step('Round trip…');
  const round_trip_ms = await roundTrip(signal);
  step('WebSocket…');
  const ws = await tried(signal, upgrade);
  step('Server-Sent Events…');
  const sse = await tried(signal, firstWords);
  step('Long-poll…');
  const longPoll = await tried(signal, (one) => silence(0.01, one));
  const finding: Finding = { round_trip_ms, ws, sse, 'long-poll': longPoll };
  if (idle_s > 0) {
    const silent_s = Math.min(idle_s, SILENT_MAX_S);
    const begun = Date.now();
    const tell = () => step(`Holding connections: ${Math.floor((Date.now() - begun) / 1000)} of ${idle_s} s…`);
    tell();
    const ticking = setInterval(tell, 1000);
    const streams = !ws.trouble || !sse.trouble;
    const [silent, stream] = await Promise.all([
      held(silent_s, (one) => silence(silent_s, one), signal),
      streams ? held(idle_s, (one) => (ws.trouble ? streamFor : socketFor)(idle_s, one), signal) : undefined,
    ]).finally(() => clearInterval(ticking));
    finding.silent = silent;
    if (stream) finding.stream = stream;
  }
  return finding;
}

async function roundTrip(signal: AbortSignal): Promise<number> {
  const rounds: number[] = [];
  // The first pays for the connection, and does not count.
  for (let round = 0; round <= ROUNDS; round++) {
    const begun = performance.now();
    const reply = await fetch(`${PATH}?limit=1`, { cache: 'no-store', signal: patience(signal, 10_000) }).catch(() => {
      signal.throwIfAborted();
      throw new Error('not even a plain request is answered here; is the node still running?');
    });
    if (!reply.ok) throw new Error(`a plain request is answered ${reply.status}, so nothing can be measured`);
    await reply.arrayBuffer();
    if (round > 0) rounds.push(performance.now() - begun);
  }
  return rounds.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? 0;
}

async function tried(signal: AbortSignal, open: (signal: AbortSignal) => Promise<unknown>): Promise<Tried> {
  const begun = performance.now();
  const limited = patience(signal, LATE_MS);
  try {
    await open(limited);
    return { opened_ms: performance.now() - begun };
  } catch (error) {
    signal.throwIfAborted();
    return { trouble: limited.aborted ? `nothing came within ${LATE_MS / 1000} s` : (error as Error).message };
  }
}

async function held(
  seconds: number,
  hold: (signal: AbortSignal) => Promise<unknown>,
  signal: AbortSignal,
): Promise<Held> {
  const begun = performance.now();
  try {
    await hold(patience(signal, (seconds + 10) * 1000));
    return { seconds };
  } catch {
    signal.throwIfAborted();
    return { seconds, cut_after_s: (performance.now() - begun) / 1000 };
  }
}

/** Resolves at the first frame. */
const upgrade = (signal: AbortSignal) => socket(signal, (done) => ({ onmessage: () => done() }));

/** Resolves after `seconds`, if the socket is still there. */
const socketFor = (seconds: number, signal: AbortSignal) =>
  socket(signal, (done) => ({ onopen: () => setTimeout(done, seconds * 1000) }));

function socket(signal: AbortSignal, listeners: (done: () => void) => Partial<WebSocket>): Promise<void> {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(`${location.origin.replace(/^http/, 'ws')}${PATH}`);
    const end = (settle: () => void) => {
      ws.onclose = null;
      ws.close();
      settle();
    };
    Object.assign(
      ws,
      listeners(() => end(resolve)),
    );
    ws.onclose = ({ code }) => reject(new Error(`the connection ended (${code}): no upgrade gets through`));
    signal.addEventListener('abort', () => end(() => reject(signal.reason)), { once: true });
  });
}

/** Resolves at the first bytes of a stream. Headers alone prove nothing: they come before what is held back. */
async function firstWords(signal: AbortSignal): Promise<void> {
  const reader = await stream(signal);
  if ((await reader.read()).done) throw new Error('the stream ended at once');
  await reader.cancel();
}

async function streamFor(seconds: number, signal: AbortSignal): Promise<void> {
  const reader = await stream(signal);
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    const over = new Promise<undefined>((resolve) => setTimeout(resolve, end - Date.now()));
    if ((await Promise.race([reader.read(), over]))?.done) throw new Error('the stream ended');
  }
  await reader.cancel();
}

async function stream(signal: AbortSignal): Promise<ReadableStreamDefaultReader<Uint8Array>> {
  const reply = await fetch(PATH, { headers: { accept: 'text/event-stream' }, cache: 'no-store', signal });
  if (!reply.ok || !reply.body) throw new Error(`answered ${reply.status}`);
  return reply.body.getReader();
}

/** Resolves when a request that waits for `seconds` is answered. */
async function silence(seconds: number, signal: AbortSignal): Promise<void> {
  const reply = await fetch(`${PATH}?after=latest&wait=${seconds}`, { cache: 'no-store', signal });
  if (!reply.ok) throw new Error(`answered ${reply.status}`);
  await reply.arrayBuffer();
}

const patience = (signal: AbortSignal, ms: number) => AbortSignal.any([signal, AbortSignal.timeout(ms)]);
