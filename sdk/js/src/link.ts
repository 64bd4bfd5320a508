import { backoffMs, LONGEST_MS } from './backoff.js';
import { isOffline, type Wake, watch } from './clock.js';
import { TidingsError } from './errors.js';
import { Ladder } from './ladder.js';
import { attempts, reduce, START, type State, type Step } from './state.js';
import type { Fault, OpenTransport, Transport, TransportEvent, Wire } from './transports/transport.js';
import type { TransportName } from './types.js';

/** A transport under way. */
interface Try {
  readonly name: TransportName;
  transport: Transport | undefined;
  open: boolean;
  /** Whether it brought a message. */
  news: boolean;
}

/** A better transport is not tried in the background sooner than this after a change. */
const CLIMB_MS = 1_000;
/** Where the browser says that there is no network it is mostly right: look again, but seldom. */
const OFFLINE_MS = LONGEST_MS;

/** Tokens in a row that are refused, before there is no hope. */
const REFUSALS = 4;

/** What a link needs. */
export interface LinkParts {
  transports: Partial<Record<TransportName, OpenTransport>>;
  order: readonly TransportName[];
  wire: Omit<Wire, 'emit' | 'trial'>;
  emit(event: TransportEvent): void;
  onState(state: State): void;
  log(text: string): void;
}

/** Keeps one transport open: the best that works. Down when one is bad, up again without a hole, back after a cut. */
export class Link {
  readonly #parts: LinkParts;
  readonly #ladder: Ladder;
  readonly #unwatch: () => void;
  #state: State = START;
  /** The one that delivers. */
  #current: Try | undefined;
  /** A better one, while the current one still delivers. */
  #trial: Try | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #climbing: ReturnType<typeof setTimeout> | undefined;
  /** Tokens refused since one was accepted. */
  #refusals = 0;

  constructor(parts: LinkParts) {
    this.#parts = parts;
    this.#ladder = new Ladder(parts.order, parts.wire.http.base, Date.now());
    this.#unwatch = watch((wake) => this.#woke(wake));
    // What the application subscribes to in its first breath goes into the first request.
    this.#timer = setTimeout(() => this.#connect());
  }

  get state(): State {
    return this.#state;
  }

  /** The connection that takes requests, where there is one now. */
  get session(): Required<Pick<Transport, 'request'>> | undefined {
    const { transport, open } = this.#current ?? {};
    return open && transport?.request ? (transport as Required<Transport>) : undefined;
  }

  /** Reads what is wanted now. */
  update(): void {
    this.#current?.transport?.update();
    if (this.#trial?.open) this.#trial.transport?.update();
  }

  refresh(token: string): void {
    if (this.#current?.open) this.#current.transport?.refresh?.(token);
  }

  /** Lets go of the connection; another link goes on. */
  leave(): void {
    this.#drop();
    this.#unwatch();
  }

  close(error?: TidingsError): void {
    this.leave();
    this.#step({ type: 'close', ...(error && { reason: error }) });
  }

  /** Lets go of every connection and timer; says nothing. */
  #drop(): void {
    clearTimeout(this.#timer);
    this.#stopClimb();
    const current = this.#current;
    this.#current = undefined;
    current?.transport?.close();
  }

  #step(step: Step): void {
    this.#state = reduce(this.#state, step);
    this.#parts.log(
      `${step.type} ${'transport' in step ? step.transport : ''} ${'reason' in step ? step.reason?.message : ''}`,
    );
    this.#parts.onState(this.#state);
  }

  /** Tries the next transport; waits where all have failed. */
  #connect(reason?: TidingsError, retryMs?: number): void {
    this.#drop();
    if (this.#state.at === 'closed') return;
    const name = this.#ladder.next(Date.now());
    if (name === undefined) return this.#wait(reason ?? new TidingsError('unreachable', 'no transport works'), retryMs);
    this.#step({ type: 'try', transport: name });
    this.#current = this.#open(name, false);
  }

  #open(name: TransportName, trial: boolean): Try {
    const attempt: Try = { name, transport: undefined, open: false, news: false };
    const emit = (event: TransportEvent) => this.#hear(attempt, event);
    attempt.transport = this.#parts.transports[name]?.({ ...this.#parts.wire, trial, emit });
    return attempt;
  }

  #wait(reason: TidingsError, retryMs?: number, news = false): void {
    this.#drop();
    if (isOffline()) {
      this.#step({ type: 'offline', reason });
      this.#timer = setTimeout(() => this.#connect(), OFFLINE_MS);
      return;
    }
    const now = Date.now();
    const failed = attempts(this.#state, now, news);
    const ms = retryMs ?? reason.retryMs ?? backoffMs(failed);
    this.#step({ type: 'wait', ms, now, reason, attempt: failed + 1 });
    this.#timer = setTimeout(() => this.#connect(reason), ms);
  }

  #hear(attempt: Try, event: TransportEvent): void {
    const isTrial = attempt === this.#trial;
    if (!isTrial && attempt !== this.#current) return;
    if (event.type === 'open') this.#opened(attempt, isTrial, event.via);
    else if (event.type !== 'closed') {
      attempt.news ||= event.type === 'message';
      this.#parts.emit(event);
    } else if (isTrial) this.#notYet(attempt, event.fault);
    else this.#lost(attempt, event.fault);
  }

  #opened(attempt: Try, isTrial: boolean, via: TransportName = attempt.name): void {
    const now = Date.now();
    attempt.open = true;
    this.#refusals = 0;
    if (isTrial) {
      // The old one delivered until now; the new one goes on at the same cursors.
      this.#trial = undefined;
      const old = this.#current;
      this.#current = attempt;
      old?.transport?.close();
    }
    this.#ladder.opened(attempt.name, now);
    this.#step({ type: 'open', transport: via, now });
    this.#climb();
  }

  #lost(attempt: Try, fault: Fault): void {
    const { error } = fault;
    const now = Date.now();
    const renewed = fault.renewed === true && ++this.#refusals < REFUSALS;
    if (!error.passing && !renewed) return this.close(error);
    if (attempt.open) {
      const uptimeMs = this.#state.at === 'connected' ? now - this.#state.since : 0;
      this.#ladder.lost(attempt.name, uptimeMs, fault.silent === true, error.code === 'blocked', now);
      return this.#wait(error, renewed && this.#refusals === 1 ? 0 : undefined, attempt.news);
    }
    // The node itself says: not now. Another transport would be told the same.
    if (error.answered || error.code === 'token-failed')
      return this.#wait(error, renewed && this.#refusals === 1 ? 0 : undefined);
    if (this.#ladder.failed(attempt.name, error.code === 'connection-lost' || error.code === 'unreachable'))
      this.#wait(error);
    else this.#connect(error);
  }

  #notYet(trial: Try, { error }: Fault): void {
    this.#parts.log(`not yet ${trial.name}: ${error.message}`);
    this.#trial = undefined;
    this.#ladder.notYet(trial.name, Date.now());
    this.#climb();
  }

  /** Tries a better transport in the background, when it is time to. */
  #climb(): void {
    this.#stopClimb();
    if (!this.#current?.open) return;
    const better = this.#ladder.better(this.#current.name, Date.now());
    if (!better) return;
    this.#climbing = setTimeout(
      () => {
        this.#parts.log(`trying ${better.name} in the background`);
        this.#trial = this.#open(better.name, true);
      },
      Math.max(better.inMs, CLIMB_MS),
    );
  }

  #stopClimb(): void {
    clearTimeout(this.#climbing);
    const trial = this.#trial;
    this.#trial = undefined;
    trial?.transport?.close();
  }

  #woke(wake: Wake): void {
    this.#parts.log(`the page: ${wake}`);
    if (this.#state.at === 'closed') return;
    const state = this.#state;
    // A time that the server asked for is kept, however often somebody looks.
    const waits =
      state.at === 'offline' ? wake !== 'visible' : state.at === 'waiting' && state.reason.retryMs === undefined;
    if (wake === 'offline' || wake === 'hide') {
      this.#drop();
      this.#step({ type: 'offline' });
      if (wake === 'offline') this.#timer = setTimeout(() => this.#connect(), OFFLINE_MS);
    } else if (waits) this.#connect();
    else this.#current?.transport?.wake();
    if (wake === 'online') {
      this.#ladder.forget();
      this.#climb();
    }
  }
}
