// Time, and what a browser says of it: sleep and wake, the network, the page's visibility.

/** What happened to the page or the machine. */
export type Wake = 'online' | 'offline' | 'visible' | 'woke' | 'hide' | 'show';

/** How often silence and jumps of the clock are looked for, in milliseconds. */
const TICK_MS = 1_000;
/** A timer that comes so late was not late by itself: the machine slept. */
const JUMP_MS = 5_000;

/** Whether the browser is sure that there is no network. */
export const isOffline = (): boolean => globalThis.navigator?.onLine === false;

/** Whether nobody looks at the page. */
export const isHidden = (): boolean => globalThis.document?.visibilityState === 'hidden';

/** Tells what happens to the page and the machine, until the returned function is called. */
export function watch(tell: (wake: Wake) => void): () => void {
  const ends: (() => void)[] = [];
  const listen = (target: EventTarget | undefined, name: string, act: (event: Event) => void) => {
    target?.addEventListener?.(name, act);
    ends.push(() => target?.removeEventListener?.(name, act));
  };
  const page = globalThis.document;
  if (page) {
    listen(globalThis, 'online', () => tell('online'));
    listen(globalThis, 'offline', () => tell('offline'));
    listen(page, 'visibilitychange', () => !isHidden() && tell('visible'));
    listen(page, 'resume', () => tell('woke'));
    // A page in the back/forward cache may have no connection; it comes back as it was.
    listen(globalThis, 'pagehide', (event) => (event as PageTransitionEvent).persisted && tell('hide'));
    listen(globalThis, 'pageshow', (event) => (event as PageTransitionEvent).persisted && tell('show'));
  }
  let last = Date.now();
  const tick = setInterval(() => {
    const slept = Date.now() - last - TICK_MS;
    last = Date.now();
    if (slept > JUMP_MS) tell('woke');
  }, TICK_MS);
  ends.push(() => clearInterval(tick));
  return () => {
    for (const end of ends) end();
  };
}

/** Notices when nothing was heard for some time. */
export class Silence {
  #heard = Date.now();
  readonly #tick: ReturnType<typeof setInterval>;

  /** `check` is called each second with the milliseconds since something was heard. */
  constructor(check: (silentMs: number) => void) {
    this.#tick = setInterval(() => {
      const silent = Date.now() - this.#heard;
      // A clock that was set back.
      if (silent < 0) this.heard();
      else check(silent);
    }, TICK_MS);
  }

  heard(): void {
    this.#heard = Date.now();
  }

  end(): void {
    clearInterval(this.#tick);
  }
}

/** Resolves after `ms`, or at once when one of the signals is aborted. */
export function sleep(ms: number, ...signals: AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      for (const signal of signals) signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    for (const signal of signals) {
      if (signal.aborted) done();
      else signal.addEventListener('abort', done);
    }
  });
}
