import { isHidden, sleep } from '../clock.js';
import { hasNews, tell } from './pages.js';
import { query, Requests } from './requests.js';
import type { OpenTransport, Read, Wire } from './transport.js';

const SOON_MS = 500;
const LATE_MS = 10_000;
/** Where nobody looks. */
const HIDDEN_MS = 30_000;
const PAGE = '1000';

/** Interval polling: quick after news, slower while nothing comes, at once when somebody looks again. */
export const poll: OpenTransport = (wire) => {
  let pokes = new AbortController();
  const requests = new Requests(wire, (reads, signal, proved) => ask(wire, reads, signal, proved, () => pokes.signal));
  return {
    update: () => requests.update(),
    refresh: () => undefined,
    close: () => requests.close(),
    wake: () => {
      pokes.abort();
      pokes = new AbortController();
    },
  };
};

async function ask(
  wire: Wire,
  reads: Read[],
  signal: AbortSignal,
  proved: () => Promise<void>,
  poke: () => AbortSignal,
): Promise<void> {
  const names = reads.map((read) => read.channel);
  let ownMs = SOON_MS;
  while (!signal.aborted) {
    const { page, afterMs } = await wire.http.page(names, { query: [...query(reads), ['limit', PAGE]], signal });
    await proved();
    if (signal.aborted) return;
    tell(wire, reads, page);
    ownMs = hasNews(page) ? SOON_MS : Math.min(ownMs * 1.5, LATE_MS);
    // Sooner than the server says it is not worth asking.
    if (afterMs > 0) await sleep(Math.max(afterMs, isHidden() ? HIDDEN_MS : ownMs), signal, poke());
  }
}
