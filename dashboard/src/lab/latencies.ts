// The latencies of all lanes as one plot: what arrived of the messages that were published at one time.

import { Plot, type Points } from '../plot';
import { milliseconds } from '../words';
import type { Lane } from './lane';
import { LANES } from './node';
import { WINDOW_MS } from './tally';
import { TITLES } from './words';

/** So many points a lane; of the messages of one it shows the slowest. */
const SLICE_MS = 250;

export function latencyPlot(home: HTMLElement): Plot {
  return new Plot(home, {
    label:
      'Latency of each message by the time of its publishing, one colour a lane, on a logarithmic scale. The medians and percentiles stand in the lanes below.',
    lines: LANES.map((name) => ({ label: TITLES[name], color: `--${name}`, words: milliseconds, points: true })),
    height: 240,
    logarithmic: true,
  });
}

/** The last minute. */
export function points(lanes: readonly Lane[], now: number): Points {
  const slices = new Map<number, (number | null)[]>();
  for (const [index, lane] of lanes.entries()) {
    for (const { published, at } of lane.tally.recent(now)) {
      const slice = Math.floor(published / SLICE_MS);
      if (published < now - WINDOW_MS) continue;
      const values = slices.get(slice) ?? LANES.map(() => null);
      slices.set(slice, values);
      values[index] = Math.max(values[index] ?? 0.1, at - published);
    }
  }
  // The whole minute, however little there is in it.
  for (const end of [now - WINDOW_MS, now]) {
    const slice = Math.floor(end / SLICE_MS);
    if (!slices.has(slice))
      slices.set(
        slice,
        LANES.map(() => null),
      );
  }
  const ordered = [...slices].sort(([a], [b]) => a - b);
  const times = ordered.map(([slice]) => (slice * SLICE_MS) / 1000);
  return [times, ...LANES.map((_, index) => ordered.map(([, values]) => values[index] ?? null))];
}
