import { sleep } from '../clock.js';
import { ofThrown, TidingsError } from '../errors.js';
import { hasNews, tell } from './pages.js';
import { HELD, query, Requests } from './requests.js';
import type { OpenTransport, Read, Wire } from './transport.js';

/** How long the server may hold a request: with what the way takes it stays under 20 s of silence. */
const WAIT_S = 15;
const SLACK_S = 5;
/** One that is cut sooner was not cut for being long. */
const CUT_S = 2;
/** Cuts in a row after which something on the way will not have long requests. */
const CUTS = 3;
const PAGE = '1000';

/** Long-poll: a request that is held until there is news. */
export const longPoll: OpenTransport = (wire) =>
  new Requests(wire, (reads, signal, proved) => poll(wire, reads, signal, proved), HELD);

async function poll(wire: Wire, reads: Read[], signal: AbortSignal, proved: () => Promise<void>): Promise<void> {
  const names = reads.map((read) => read.channel);
  // The first one comes back at once, and shows that the node is there.
  let waitS = 0;
  let longestS = WAIT_S;
  let cuts = 0;
  while (!signal.aborted) {
    const began = Date.now();
    const wait: [string, string][] = waitS > 0 ? [['wait', String(waitS)]] : [];
    try {
      const ask = {
        query: [...query(reads), ...wait, ['limit', PAGE]] as [string, string][],
        signal,
        timeoutMs: (waitS + SLACK_S) * 1_000,
      };
      const { page, afterMs } = await wire.http.page(names, ask);
      await proved();
      if (signal.aborted) return;
      tell(wire, reads, page);
      cuts = 0;
      // Released early, and with nothing: the node goes away and says when to come again.
      const released = waitS > 0 && !hasNews(page) && Date.now() - began < Math.min(1, waitS / 2) * 1_000;
      if (released) await sleep(Math.max(afterMs, 100), signal);
      waitS = longestS;
    } catch (thrown) {
      const error = ofThrown(thrown);
      const heldS = (Date.now() - began) / 1_000;
      if (signal.aborted || error.answered || waitS === 0 || heldS < CUT_S) throw error;
      if (error.code === 'timeout') throw new TidingsError('silent', `nothing was heard for ${Math.round(heldS)} s`);
      if (++cuts >= CUTS) throw new TidingsError('blocked', 'long requests are cut on the way');
      // A proxy has its own idea of how long a request may take: stay below it.
      longestS = Math.max(CUT_S, Math.floor(Math.min(heldS, waitS) * 0.7));
      waitS = longestS;
    }
  }
}
