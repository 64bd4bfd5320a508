// The last hour as lines: one value for each ten seconds, of all nodes together.

import type { Node } from './cluster';
import type { Snapshot } from './snapshot';

export const BIN_MS = 10_000;
const BINS_MAX = 360;
const BINS_MIN = 30;
/** What happened until now is known so much later, in milliseconds: a node speaks every 5 seconds. */
const LATE_MS = 8000;
/** A node's word counts so long, in milliseconds; then it is silent, and counts for nothing. */
const CARRIED_MS = 16_000;

/** Words that are further apart tell nothing of the time between them. */
const HOLE_MS = 60_000;

/**
 * The ends of the bins of the last hour, or from `begin` on where that is later, but of five minutes at least; in
 * seconds since 1970. The last one ends before `time`, so that it is whole.
 */
export function bins(time: number, begin: number): number[] {
  const end = Math.floor((time - LATE_MS) / BIN_MS) * BIN_MS;
  const known = Math.ceil((end - begin) / BIN_MS);
  const count = Math.min(BINS_MAX, Math.max(BINS_MIN, Number.isFinite(known) ? known : 0));
  return Array.from({ length: count }, (_, index) => (end - (count - 1 - index) * BIN_MS) / 1000);
}

/** What is there at the end of each bin: a number of connections. Null where no node had said anything. */
export function gauge(nodes: Node[], times: number[], value: (said: Snapshot) => number): (number | null)[] {
  const sums: (number | null)[] = times.map(() => null);
  for (const { samples } of nodes) {
    let next = 0;
    times.forEach((seconds, bin) => {
      while ((samples[next]?.at ?? Number.POSITIVE_INFINITY) <= seconds * 1000) next++;
      const sample = samples[next - 1];
      if (!sample || sample.at < seconds * 1000 - CARRIED_MS || sample.said.state === 'stopped') return;
      sums[bin] = (sums[bin] ?? 0) + value(sample.said);
    });
  }
  return sums;
}

/**
 * By how much a total grew in each bin, a second. The growth between two words is spread over the time between them.
 * Null where no node's words tell of a whole bin.
 */
export function growth(nodes: Node[], times: number[], total: (said: Snapshot) => number): (number | null)[] {
  const sums = times.map(() => 0);
  const known = times.map(() => false);
  const begin = (times[0] ?? 0) * 1000 - BIN_MS;
  for (const { samples } of nodes) {
    const told = times.map(() => 0);
    for (let index = 1; index < samples.length; index++) {
      const [before, after] = [samples[index - 1], samples[index]];
      if (!before || !after || after.at - before.at > HOLE_MS) continue;
      const each = Math.max(0, total(after.said) - total(before.said)) / (after.at - before.at);
      const first = Math.max(0, Math.floor((before.at - begin) / BIN_MS));
      const last = Math.min(times.length - 1, Math.floor((after.at - 1 - begin) / BIN_MS));
      for (let bin = first; bin <= last; bin++) {
        const from = Math.max(before.at, begin + bin * BIN_MS);
        const time = Math.min(after.at, begin + (bin + 1) * BIN_MS) - from;
        sums[bin] = (sums[bin] ?? 0) + (each * time) / (BIN_MS / 1000);
        told[bin] = (told[bin] ?? 0) + time;
      }
    }
    told.forEach((time, bin) => {
      if (time > BIN_MS * 0.9) known[bin] = true;
    });
  }
  return sums.map((sum, bin) => (known[bin] ? sum : null));
}

/** The largest of all nodes at the end of each bin. */
export function largest(nodes: Node[], times: number[], value: (said: Snapshot) => number): (number | null)[] {
  const each = nodes.map((node) => gauge([node], times, value));
  return times.map((_, bin) => {
    const values = each.map((one) => one[bin]).filter((one): one is number => one != null);
    return values.length > 0 ? Math.max(...values) : null;
  });
}
