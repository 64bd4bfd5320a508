import { Silence } from '../clock.js';
import { ofProblem, ofThrown, type Problem, TidingsError } from '../errors.js';
import type { End, Gap, Member, Message, Presence } from '../types.js';
import type { OpenTransport, Read, Transport, Wire } from './transport.js';

/** What the server sends: a reply has the id of its request. */
interface Frame {
  id?: number;
  data?: unknown;
  gap?: Gap;
  end?: End;
  error?: Problem;
  presence?: { channel: string; joined?: Member[]; left?: string[] };
  subscribed?: { channel: string; cursor: string; presence?: Presence };
  unsubscribed?: { channel: string; error?: Problem };
}

interface Waiting {
  /** The version of the read that a `subscribe` asked for. */
  version: number | undefined;
  resolve(reply: Frame): void;
  reject(error: TidingsError): void;
}

/** A socket whose first reply takes longer is eaten by something on the way. */
const PROOF_MS = 5_000;
/** After so long a silence it is asked whether it lives; after as long again it does not. */
const ASK_MS = 5_000;
/** A page that woke wants to know it sooner. */
const WOKEN_MS = 2_500;
/** The server speaks every 15 s. */
const SILENT_MS = 20_000;
/** Asks for nothing, and is answered. */
const PROOF = { unsubscribe: { channel: '-' } };

/** The session of `/v1/connect`: all channels, publishing and presence on one WebSocket. */
export const ws: OpenTransport = (wire) => new Session(wire);

class Session implements Transport {
  readonly #wire: Wire;
  readonly #waiting = new Map<number, Waiting>();
  /** Channel → version that was asked for. */
  readonly #asked = new Map<string, number>();
  readonly #silence: Silence;
  readonly #proof: ReturnType<typeof setTimeout>;
  #socket: WebSocket | undefined;
  #token: string | undefined;
  #id = 0;
  #begun = false;
  #open = false;
  #over = false;
  /** Until when the server has to say something, since it was asked. */
  #deadline: number | undefined;
  #problem: TidingsError | undefined;
  /** Whether a message came since it was last asked: only a silence after one says anything. */
  #news = true;

  constructor(wire: Wire) {
    this.#wire = wire;
    this.#silence = new Silence((ms) => this.#listen(ms));
    const eaten = new TidingsError('blocked', 'the WebSocket was not answered in time');
    this.#proof = setTimeout(() => this.#end(eaten, true), PROOF_MS);
    this.#begin().catch((thrown) => this.#end(ofThrown(thrown)));
  }

  update(): void {
    if (!this.#begun || (!this.#open && this.#wire.trial)) return;
    for (const [channel] of this.#asked) if (!this.#wire.reads.has(channel)) this.#leave(channel);
    for (const read of this.#wire.reads.values()) if (this.#asked.get(read.channel) !== read.version) this.#join(read);
  }

  wake(): void {
    if (this.#open) this.#ping(WOKEN_MS);
  }

  refresh(token: string): void {
    this.request({ refresh: { token } }).then(
      () => {
        this.#token = token;
      },
      (error) => error.wantsToken && this.#end(error),
    );
  }

  request(ask: object): Promise<Record<string, unknown>> {
    return this.#ask(ask) as Promise<Record<string, unknown>>;
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#proof);
    this.#silence.end();
    const lost = new TidingsError('connection-lost', 'the connection was lost');
    for (const waiting of this.#waiting.values()) waiting.reject(lost);
    this.#waiting.clear();
    this.#socket?.close();
  }

  async #begin(): Promise<void> {
    const { WebSocket, credentials, http } = this.#wire;
    if (!WebSocket) throw new TidingsError('blocked', 'this runtime has no WebSocket');
    this.#token = await credentials.get();
    if (this.#over) return;
    const socket = new WebSocket(`${http.base.replace(/^http/, 'ws')}/v1/connect`, ['tidings.v1']);
    // From now on, so that it is closed also while it is still connecting: the next one would have to wait for it.
    this.#socket = socket;
    socket.onopen = () => {
      this.#begun = true;
      // The first frame may carry the token, where no proxy writes it into a log.
      const token = this.#token === undefined ? {} : { token: this.#token };
      this.#ask({ ...token, ...PROOF }).then(() => this.#proved(), this.#endBy);
      this.update();
    };
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = (event) => this.#end(this.#problem ?? ofClose(event));
  }

  #proved(): void {
    if (this.#over) return;
    clearTimeout(this.#proof);
    this.#open = true;
    this.#wire.emit({ type: 'open' });
    this.update();
  }

  #join(read: Read): void {
    const { channel, cursor, version, maxRate, conflate, presence } = read;
    if (this.#asked.has(channel)) this.#leave(channel);
    this.#asked.set(channel, version);
    const subscribe = { channel, after: cursor, max_rate: maxRate, conflate, presence: presence || undefined };
    this.#ask({ subscribe }, version).then(
      ({ subscribed }) => {
        if (subscribed?.presence) this.#wire.emit({ type: 'presence', channel, members: subscribed.presence.members });
      },
      this.#refusedBy(channel, version),
    );
  }

  #refusedBy(channel: string, version: number) {
    return (error: TidingsError) => {
      if (this.#over || this.#asked.get(channel) !== version) return;
      if (error.passing) this.#end(error);
      else this.#refused(channel, error);
    };
  }

  #refused(channel: string, error: TidingsError): void {
    this.#asked.delete(channel);
    this.#wire.emit({ type: 'refused', channel, error });
  }

  #leave(channel: string): void {
    this.#asked.delete(channel);
    this.#ask({ unsubscribe: { channel } }).catch(() => undefined);
  }

  #ask(ask: object, version?: number): Promise<Frame> {
    return new Promise((resolve, reject) => {
      if (!this.#socket || !this.#begun || this.#over)
        return reject(new TidingsError('connection-lost', 'there is no connection'));
      this.#waiting.set(++this.#id, { version, resolve, reject });
      this.#socket.send(JSON.stringify({ id: this.#id, ...ask }));
    });
  }

  #hear(text: unknown): void {
    if (this.#over) return;
    this.#silence.heard();
    this.#deadline = undefined;
    let frame: Frame;
    try {
      frame = JSON.parse(String(text)) as Frame;
    } catch {
      return this.#end(new TidingsError('blocked', 'what came over the WebSocket is not Tidings'));
    }
    // A message has an id as well: its own.
    if (frame.id !== undefined && frame.data === undefined) this.#answered(frame.id, frame);
    else this.#told(frame);
  }

  #answered(id: number, frame: Frame): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (frame.error) return waiting?.reject(ofProblem(frame.error));
    // At once: the frames behind it are messages of this version, and a promise would come after them.
    if (frame.subscribed && waiting?.version !== undefined)
      this.#wire.emit({ type: 'subscribed', channel: frame.subscribed.channel, version: waiting.version });
    waiting?.resolve(frame);
  }

  #told(frame: Frame): void {
    const { emit } = this.#wire;
    if (frame.data !== undefined) {
      this.#news = true;
      emit({ type: 'message', message: frame as unknown as Message });
    } else if (frame.gap) emit({ type: 'gap', gap: frame.gap });
    else if (frame.end) {
      this.#asked.delete(frame.end.channel);
      emit({ type: 'end', end: frame.end });
    } else if (frame.presence) emit({ type: 'presence', ...frame.presence });
    else if (frame.unsubscribed?.error) this.#refused(frame.unsubscribed.channel, ofProblem(frame.unsubscribed.error));
    else if (frame.error) this.#problem = ofProblem(frame.error);
    else this.#socket?.send('{}');
  }

  /** A network that died says nothing: so it is asked. */
  #listen(silentMs: number): void {
    if (!this.#open) return;
    if (silentMs >= SILENT_MS || Date.now() >= (this.#deadline ?? Number.POSITIVE_INFINITY)) {
      this.#end(new TidingsError('silent', `nothing was heard for ${Math.round(silentMs / 1_000)} s`), true);
    } else if (silentMs >= ASK_MS && this.#news) this.#ping(ASK_MS);
  }

  /** Something has to be heard within so long. */
  #ping(ms: number): void {
    this.#news = false;
    this.#deadline = Math.min(this.#deadline ?? Number.POSITIVE_INFINITY, Date.now() + ms);
    this.#ask(PROOF).catch(() => undefined);
  }

  readonly #endBy = (error: TidingsError): void => this.#end(error);

  #end(error: TidingsError, silent = false): void {
    if (this.#over) return;
    this.close();
    const renewed = error.wantsToken && this.#wire.credentials.refused(this.#token);
    this.#wire.emit({ type: 'closed', fault: { error, silent, renewed } });
  }
}

/** Codes from 4000 to 4499 say: come back. The reason is JSON. */
function ofClose({ code, reason }: CloseEvent): TidingsError {
  if (code < 4_000) return new TidingsError('connection-lost', `the WebSocket was closed with ${code}`);
  let said: Problem = {};
  try {
    said = JSON.parse(reason) as Problem;
  } catch {
    // A proxy may have cut it.
  }
  return ofProblem({ code: code < 4_500 ? 'draining' : 'unknown', detail: `the server closed with ${code}`, ...said });
}
