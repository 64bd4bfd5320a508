// A question that is asked again and again, as long as somebody looks.

export interface Repeated {
  /** Asks at once, and then goes on. */
  now: () => void;
  stop: () => void;
}

/** Asks each `every_ms`, never twice at a time, and not while the page is hidden. Begins at `now()`. */
export function repeatedly(every_ms: () => number, ask: () => Promise<void>): Repeated {
  let timer = 0;
  let turn = 0;
  const next = async (mine: number): Promise<void> => {
    if (!document.hidden) await ask().catch(() => {});
    if (mine !== turn) return;
    timer = setTimeout(() => void next(mine), every_ms());
  };
  return {
    now() {
      clearTimeout(timer);
      turn++;
      void next(turn);
    },
    stop() {
      clearTimeout(timer);
      turn++;
    },
  };
}
