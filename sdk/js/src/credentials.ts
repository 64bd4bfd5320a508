import { TidingsError } from './errors.js';
import type { TokenSource } from './types.js';

/** The longest that a browser's timer can wait. */
const TIMER_MS = 2 ** 31 - 1;
/** A token is asked for again no sooner than this after the last. */
const RENEW_MS = 1_000;

/** What a JWT says of itself. Nothing is verified: that is the server's part. */
export function claims(token: string): { sub?: string; exp?: number; iat?: number } {
  try {
    const part = token.split('.')[1] ?? '';
    const bytes = Uint8Array.from(atob(part.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)) ?? {};
  } catch {
    return {};
  }
}

/** The token in force: asked for when it is first needed, before it ends, and when it is refused. */
export class Credentials {
  readonly #source: TokenSource | undefined;
  readonly #onRefresh: (token: string) => void;
  #token: string | undefined;
  #asked: Promise<string | undefined> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `onRefresh` is told a token that replaces one before it ends. */
  constructor(source: TokenSource | undefined, onRefresh: (token: string) => void) {
    this.#source = source;
    this.#onRefresh = onRefresh;
  }

  /** The token, or undefined where none is used. Rejects with `token-failed`. */
  get(): Promise<string | undefined> {
    return this.#token === undefined ? this.#ask() : Promise.resolve(this.#token);
  }

  /** Whether there is another token to be had. */
  get renewable(): boolean {
    return typeof this.#source === 'function';
  }

  /** Forgets a token that was refused. False where there is no other to be had. */
  refused(token: string | undefined): boolean {
    // Another request may have brought a newer one meanwhile.
    if (this.renewable && token === this.#token) this.#token = undefined;
    return this.renewable;
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #ask(): Promise<string | undefined> {
    this.#asked ??= this.#fetch().finally(() => {
      this.#asked = undefined;
    });
    return this.#asked;
  }

  async #fetch(): Promise<string | undefined> {
    if (this.#source === undefined) return undefined;
    try {
      this.#token = typeof this.#source === 'string' ? this.#source : await this.#source();
    } catch (cause) {
      throw new TidingsError('token-failed', 'the token function failed', { cause });
    }
    if (this.#token !== undefined && typeof this.#source === 'function') this.#renewBeforeEnd(this.#token);
    return this.#token;
  }

  #renewBeforeEnd(token: string): void {
    clearTimeout(this.#timer);
    const { exp, iat } = claims(token);
    if (exp === undefined) return;
    // By the token's own span, where it says it: clocks differ.
    const spanMs = Math.max(0, (iat === undefined ? exp * 1_000 - Date.now() : (exp - iat) * 1_000) - 500);
    const leadMs = Math.min(spanMs * 0.25, 60_000);
    this.#renewIn(spanMs - leadMs, token, leadMs / 4);
  }

  #renewIn(ms: number, token: string, againMs: number): void {
    const renew = () =>
      this.#ask().then(
        (next) => next !== undefined && next !== token && this.#onRefresh(next),
        () => this.#renewIn(againMs, token, againMs),
      );
    this.#timer = setTimeout(renew, Math.min(Math.max(ms, RENEW_MS), TIMER_MS));
  }
}
