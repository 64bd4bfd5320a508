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
 * How long after `from` (of Date.now()) the first message came, and the first that came in time; null where none did.
 * `silenceMs` is the longest time without a message while some were published.
 */
export function pace(deliveries, acknowledged, from) {
  const lag = ({ n, at }) => at - (acknowledged[n] ?? at);
  const since = deliveries.filter(({ at }) => at >= from);
  const first = since[0];
  const intime = since.find((delivery) => lag(delivery) <= LATE_MS);
  let silenceMs = 0;
  for (let i = 1; i < deliveries.length; i++) silenceMs = Math.max(silenceMs, deliveries[i].at - deliveries[i - 1].at);
  const lags = deliveries.map(lag).sort((a, b) => a - b);
  return {
    firstMs: first ? first.at - from : null,
    caughtUpMs: intime ? intime.at - from : null,
    silenceMs,
    lagP50Ms: lags[lags.length >> 1] ?? null,
    lagMaxMs: lags.at(-1) ?? null,
  };
}
