/** A problem as the server writes it (RFC 9457). */
export interface Problem {
  code?: string;
  detail?: string;
  title?: string;
  status?: number;
  stored?: boolean | 'unknown';
  retry_ms?: number;
}

/** Codes after which it is worth coming back with the same request. */
const PASSING = new Set(
  (
    'broker-unavailable draining overloaded too-many-connections rate-limited idempotency-full keys-unavailable ' +
    'lagged body-incomplete unreachable timeout silent blocked connection-lost token-failed'
  ).split(' '),
);

/** What went wrong. `code` is stable: the server's (docs/errors.md), or one of this library (README). */
export class TidingsError extends Error {
  override readonly name = 'TidingsError';
  readonly code: string;
  /** Whether a refused publish may have been stored. */
  readonly stored: boolean | 'unknown' | undefined;
  /** When the server wants to see you again, in milliseconds. */
  readonly retryMs: number | undefined;
  /** Whether a server of Tidings said so, and not the way to it. */
  readonly answered: boolean;

  constructor(
    code: string,
    detail: string,
    more: {
      stored?: boolean | 'unknown' | undefined;
      retryMs?: number | undefined;
      status?: number | undefined;
      answered?: boolean;
      cause?: unknown;
    } = {},
  ) {
    super(`${detail} (${code})`, more.cause === undefined ? undefined : { cause: more.cause });
    this.code = code;
    this.stored = more.stored;
    this.retryMs = more.retryMs;
    this.status = more.status;
    this.answered = more.answered ?? false;
  }

  /** The HTTP status that goes with it, where a server answered. */
  readonly status: number | undefined;

  /** Whether the same request may succeed later. */
  get passing(): boolean {
    return PASSING.has(this.code) || (this.status ?? 0) >= 500;
  }

  /** The same, after so many tries: a token source may give an ended token a few times, and then a good one. */
  passingAt(tries: number): boolean {
    return this.passing || (this.wantsToken && tries < 3);
  }

  /** Whether another token might help. */
  get wantsToken(): boolean {
    return this.code === 'token-expired' || this.code === 'bad-token' || this.code === 'no-credentials';
  }
}

/** A problem of the server as an error. */
export function ofProblem(problem: Problem, retryMs?: number): TidingsError {
  return new TidingsError(problem.code ?? 'unknown', problem.detail ?? problem.title ?? 'the server refused', {
    answered: true,
    stored: problem.stored,
    status: problem.status,
    retryMs: problem.retry_ms ?? retryMs,
  });
}

/** Whatever was thrown, as an error of this library. */
export function ofThrown(thrown: unknown): TidingsError {
  if (thrown instanceof TidingsError) return thrown;
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  return new TidingsError('unreachable', `the server cannot be reached: ${detail}`, { cause: thrown });
}
