// All that was measured, to keep.

import { claims, overheadOf } from './claims';
import { now } from './clock';
import type { Lab } from './lab';
import { quantiles } from './tally';
import { recovered } from './words';

/** Everything on the page as a value. Latencies are in milliseconds, and of the last minute. */
export function report(lab: Lab): object {
  return {
    format: 'tidings-lab-1',
    at: new Date().toISOString(),
    seconds: Math.round((Date.now() - lab.beganAt) / 1000),
    browser: navigator.userAgent,
    settings: { ...lab.settings },
    faults: { ...lab.faults },
    published: lab.published,
    lanes: Object.fromEntries(
      lab.lanes.map((lane) => {
        const { total, counts, tally } = lane;
        const latency = quantiles(tally.recent(now()));
        return [
          lane.name,
          {
            transport: lane.state.transport ?? null,
            state: lane.state.state,
            latency: latency ? { p50: round(latency.p50), p99: round(latency.p99), messages: latency.count } : null,
            messages: total.messages,
            behind: Math.max(0, lab.published - tally.highest),
            lost: tally.lost,
            duplicated: tally.duplicated,
            requests: total.requests,
            answers: counts.answers,
            empty_answers: counts.empty,
            bytes_up: total.up,
            bytes_down: total.down,
            overhead_bytes: round(overheadOf(counts)),
            connections_held: lane.held,
            connections_opened: total.opened,
            recovery: recovered(lane) || null,
            latencies: tally.recent(now()).map(({ number, published, at }) => [number, round(at - published)]),
          },
        ];
      }),
    ),
    claims: claims(lab),
    done: lab.acts.map(({ at, what }) => ({ at: new Date(at).toISOString(), what })),
  };
}

const round = (value: number | undefined): number | null => (value === undefined ? null : Math.round(value * 10) / 10);

/** Hands a file to the person. */
export function save(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** `tidings-lab-2026-01-31-14-05-59`. */
export const fileName = (): string => `tidings-lab-${new Date().toISOString().slice(0, 19).replace(/[:T]/g, '-')}`;
