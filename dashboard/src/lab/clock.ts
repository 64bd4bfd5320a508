// The time of this machine, to a tenth of a millisecond: the node writes its own into each message, by the same clock.

/** Milliseconds since the epoch at `performance.now() === 0`. */
let offsetMs = performance.timeOrigin;

/** Milliseconds since the epoch. */
export const now = (): number => offsetMs + performance.now();

/**
 * Follows the wall clock, which may be set, and from which the browser's own origin drifts while the machine sleeps:
 * the moment at which `Date.now()` ticks over is known exactly.
 */
export function calibrate(): void {
  const began = Date.now();
  let wall = began;
  let exact = performance.now();
  // At most three ticks of it.
  while (wall === began && performance.now() - exact < 3) wall = Date.now();
  exact = performance.now();
  offsetMs = wall - exact;
}
