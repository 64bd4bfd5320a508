import { Silence, sleep } from '../clock.js';
import { ofProblem, TidingsError } from '../errors.js';
import { linked } from '../http.js';
import type { End, Gap, Message } from '../types.js';
import { channels, HELD, query, Requests } from './requests.js';
import type { OpenTransport, Read, Wire } from './transport.js';

/** A stream whose first bytes take longer is held back by something on the way. */
const FIRST_BYTES_MS = 4_000;
/** After so long a silence it is asked by another way whether there is news, and has so long to bring it, too. */
const ASK_MS = 5_000;
const BRING_MS = 2_000;
/** The server sends a comment every 15 s. */
const SILENT_MS = 20_000;
/** The most that a block may have, in characters; a message has at most 1 MiB unless the node says more. */
const BLOCK_CHARS = 64 * 1024 * 1024;

/** Server-Sent Events, read by fetch: so that a token can go in a header, and the first bytes can be timed. */
export const sse: OpenTransport = (wire) => {
  const page = { woke: 0 };
  const requests = new Requests(wire, (reads, signal, proved) => stream(wire, reads, signal, proved, page), HELD);
  return Object.assign(requests, { wake: () => page.woke++ });
};

async function stream(
  wire: Wire,
  reads: Read[],
  signal: AbortSignal,
  proved: () => Promise<void>,
  page: { woke: number },
): Promise<void> {
  const versions = reads.map(({ channel, version }) => [channel, version] as const);
  const abort = linked(signal);
  const held = new TidingsError('blocked', `the event stream was held back for ${FIRST_BYTES_MS / 1_000} s`);
  const first = setTimeout(() => abort.abort(held), FIRST_BYTES_MS);
  let asked = '';
  const silence = new Silence((ms) => {
    const place = placeOf(reads) + page.woke;
    if (ms >= SILENT_MS) abort.abort(silent());
    else if (ms >= ASK_MS && asked !== place && reads[0]?.maxRate === undefined) {
      asked = place;
      crossCheck(wire, reads, abort.signal).then((held) => held && abort.abort(held));
    }
  });
  try {
    const reply = await wire.http.ask('/v1/subscribe', {
      query: [...channels(reads), ...query(reads)],
      headers: { Accept: 'text/event-stream' },
      signal: abort.signal,
    });
    if (reply.status === 204) return await over(wire, reads, proved);
    const begun = async () => {
      clearTimeout(first);
      await proved();
      if (abort.signal.aborted) return;
      for (const [channel, version] of versions) wire.emit({ type: 'subscribed', channel, version });
    };
    await events(wire, reply, begun, silence, abort.signal);
    // A stream whose channels are all closed ends.
    if (signal.aborted || reads.every((read) => !wire.reads.has(read.channel))) return;
    throw new TidingsError('connection-lost', 'the event stream ended');
  } catch (thrown) {
    throw abort.signal.aborted ? abort.signal.reason : thrown;
  } finally {
    clearTimeout(first);
    silence.end();
    abort.abort(held); // lets go of the reply and of the other signal
  }
}

const placeOf = (reads: Read[]) => reads.map((read) => read.cursor).join('');

const silent = () => new TidingsError('silent', 'nothing was heard, though there should have been something');

/** Once after news: does a short request bring what the stream does not? Then it is held back, or dead. */
async function crossCheck(wire: Wire, reads: Read[], signal: AbortSignal): Promise<TidingsError | undefined> {
  const before = placeOf(reads);
  const ask = { query: [...query(reads), ['limit', '1']] as [string, string][], signal, timeoutMs: ASK_MS };
  try {
    const { page } = await wire.http.page(
      reads.map((read) => read.channel),
      ask,
    );
    if (page.messages.length === 0) return undefined;
    await sleep(BRING_MS, signal);
  } catch (thrown) {
    return thrown instanceof TidingsError && thrown.answered ? undefined : silent();
  }
  return placeOf(reads) === before
    ? new TidingsError('blocked', 'the event stream is held back on the way')
    : undefined;
}

/** All channels are closed, and read to their ends. */
async function over(wire: Wire, reads: Read[], proved: () => Promise<void>): Promise<void> {
  await proved();
  for (const { channel, cursor, version } of reads) {
    wire.emit({ type: 'subscribed', channel, version });
    wire.emit({ type: 'end', end: { channel, cursor } });
  }
}

async function events(
  wire: Wire,
  reply: Response,
  begun: () => Promise<void>,
  silence: Silence,
  signal: AbortSignal,
): Promise<void> {
  const reader = reply.body?.getReader();
  if (!reader) throw new TidingsError('blocked', 'this runtime cannot read a stream');
  const decoder = new TextDecoder();
  let rest = '';
  let blocks = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    silence.heard();
    rest += decoder.decode(value, { stream: true });
    const whole = rest.split('\n\n');
    rest = whole.pop() ?? '';
    if (rest.length > BLOCK_CHARS) throw new TidingsError('blocked', 'the event stream has no end of a block');
    for (const text of whole) {
      const block = parse(text);
      if (blocks++ === 0) {
        if (!block.comment.startsWith('tidings ')) throw notBegun(block, reply);
        await begun();
      } else if (block.event === '' && block.data === '' && block.retryMs !== undefined) {
        throw new TidingsError('draining', 'the server ended the event stream', {
          answered: true,
          retryMs: block.retryMs,
        });
      }
      if (signal.aborted) return;
      tell(wire, block);
    }
  }
}

interface Block {
  event: string;
  data: string;
  comment: string;
  retryMs: number | undefined;
}

function parse(text: string): Block {
  const block: Block = { event: '', data: '', comment: '', retryMs: undefined };
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':');
    const value = line.slice(colon + 1).replace(/^ /, '');
    const field = line.slice(0, Math.max(colon, 0));
    if (colon === 0) block.comment = value;
    else if (field === 'data') block.data += (block.data && '\n') + value;
    else if (field === 'event') block.event = value;
    else if (field === 'retry') block.retryMs = Number(value);
  }
  return block;
}

/** What passes by itself is a 200 with one block, whose comment is the code. */
function notBegun(block: Block, reply: Response): TidingsError {
  if (
    reply.headers.get('Content-Type')?.startsWith('text/event-stream') &&
    block.retryMs !== undefined &&
    block.comment
  )
    return ofProblem({ code: block.comment, detail: 'the server has no event stream now' }, block.retryMs);
  return new TidingsError('blocked', 'what answered is no event stream of Tidings');
}

function tell(wire: Wire, { event, data }: Block): void {
  if (data === '') return;
  const said: unknown = JSON.parse(data);
  if (event === 'tidings.gap') wire.emit({ type: 'gap', gap: said as Gap });
  else if (event === 'tidings.end') wire.emit({ type: 'end', end: said as End });
  else wire.emit({ type: 'message', message: said as Message });
}
