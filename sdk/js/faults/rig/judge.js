// What came to the application, against what was published.

/**
 * `deliveries` is a list of {n, at} as the application got them; all of `first`..`last` were published.
 * `lost`, `twice` and `early` are lists of numbers; `early` came before one that is smaller.
 */
export function judge(deliveries, first, last) {
  const times = new Map();
  const early = [];
  let newest = first - 1;
  for (const { n } of deliveries) {
    times.set(n, (times.get(n) ?? 0) + 1);
    if (n < newest && times.get(n) === 1) early.push(n);
    newest = Math.max(newest, n);
  }
  const lost = [];
  for (let n = first; n <= last; n++) if (!times.has(n)) lost.push(n);
  const twice = [...times].filter(([, count]) => count > 1).map(([n]) => n);
  const strange = [...times.keys()].filter((n) => !(n >= first && n <= last));
  return { lost, twice, early, strange, good: !lost.length && !twice.length && !early.length && !strange.length };
}

const some = (numbers) => (numbers.length > 8 ? `${numbers.slice(0, 8).join(', ')}, … (${numbers.length})` : numbers.join(', '));

/** The verdict in words. */
export function words({ lost, twice, early, strange, good }) {
  if (good) return 'each once, in order';
  return [['lost', lost], ['twice', twice], ['out of order', early], ['never published', strange]]
    .filter(([, numbers]) => numbers.length)
    .map(([what, numbers]) => `${what}: ${some(numbers)}`)
    .join('; ');
}

/** A message that comes this late after its 200 counts as one of a reader that has not caught up. */
const LATE_MS = 500;

/**
 * How fast it recovered. `firstMs` and `caughtUpMs` are from `overAt` (of Date.now()) to the first message, and
 * to the first that came in time; null where none did. For a fault without an end (`overAt` null), `firstMs` is
 * the longest time without a message since it began. `silenceMs` is that of the whole time.
 */
export function pace(deliveries, acknowledged, faultAt, overAt) {
  const lag = ({ n, at }) => at - (acknowledged[n] ?? at);
  const after = (when) => deliveries.filter(({ at }) => at >= when);
  const lags = deliveries.map(lag).sort((a, b) => a - b);
  const faults = { silenceMs: longest(deliveries), lagP50Ms: lags[lags.length >> 1] ?? null, lagMaxMs: lags.at(-1) ?? null };
  if (overAt === null) {
    const since = deliveries.findLastIndex(({ at }) => at < faultAt);
    return { firstMs: longest(deliveries.slice(Math.max(0, since))), caughtUpMs: null, ...faults };
  }
  const since = after(overAt);
  const inTime = since.find((delivery) => lag(delivery) <= LATE_MS);
  // Where the publisher was done by then, all that is left is late.
  const caughtUp = inTime ?? since.at(-1);
  return { firstMs: since[0] ? since[0].at - overAt : null, caughtUpMs: caughtUp ? caughtUp.at - overAt : null, ...faults };
}

function longest(deliveries) {
  let ms = 0;
  for (let i = 1; i < deliveries.length; i++) ms = Math.max(ms, deliveries[i].at - deliveries[i - 1].at);
  return ms;
}
