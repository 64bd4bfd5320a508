// What is said of transports, and what was measured here.

import { bytes, milliseconds } from '../words';
import type { Lab } from './lab';
import type { Counts, Lane } from './lane';
import type { LaneName } from './node';
import { quantiles } from './tally';
import { TITLES } from './words';

export interface Claim {
  id: string;
  claim: string;
  /** What was measured, in words; it changes while one looks. */
  measured: string;
  /** Whether that bears the claim out. `open` until there is enough to say. */
  verdict: 'holds' | 'partly' | 'not here' | 'open';
}

/** Less says nothing. */
const ENOUGH = 5;

export function claims(lab: Lab): Claim[] {
  const lane = (name: LaneName): Lane | undefined => lab.lanes.find((one) => one.name === name);
  return [
    interval(lab, lane('poll')),
    empty(lab, lane('poll')),
    oneConnection(lane('sse')),
    overhead(lab),
    blocked(lab, lane('ws')),
  ];
}

function interval(lab: Lab, poll: Lane | undefined): Claim {
  const claim = 'Polling’s latency is its interval.';
  const measured = poll && quantiles(poll.tally.recent(Date.now()));
  if (!measured || measured.count < ENOUGH)
    return { id: 'interval', claim, measured: 'Not enough polls yet.', verdict: 'open' };
  const { intervalMs } = lab.settings;
  const part = (ms: number) => (ms / intervalMs).toFixed(2);
  return {
    id: 'interval',
    claim,
    measured: `At ${milliseconds(intervalMs)}: median ${milliseconds(measured.p50)} (${part(measured.p50)} of it), 99th percentile ${milliseconds(measured.p99)} (${part(measured.p99)}). It is the worst case; the middle is half.`,
    verdict: measured.p50 > intervalMs * 0.85 ? 'holds' : 'partly',
  };
}

function empty(lab: Lab, poll: Lane | undefined): Claim {
  const claim = '90 % of polls come back empty.';
  const counts = poll?.counts;
  if (!counts || counts.answers < ENOUGH)
    return { id: 'empty', claim, measured: 'Not enough polls yet.', verdict: 'open' };
  const share = (counts.empty / counts.answers) * 100;
  const { rate, intervalMs } = lab.settings;
  const needed = intervalMs / 1000 / 0.1;
  return {
    id: 'empty',
    claim,
    measured: `${share.toFixed(0)} % of ${counts.answers} polls, at ${rate} messages a second. With this interval it takes a channel that changes each ${milliseconds(needed * 1000)}.`,
    verdict: share >= 85 ? 'holds' : 'not here',
  };
}

function oneConnection(sse: Lane | undefined): Claim {
  const claim = 'SSE is one connection.';
  if (!sse || sse.total.messages < ENOUGH)
    return { id: 'one', claim, measured: 'Not enough messages yet.', verdict: 'open' };
  const { opened, requests, messages } = sse.total;
  const reconnected = opened > 3 ? ' Each cut needs a new one.' : '';
  return {
    id: 'one',
    claim,
    measured: `${sse.held} held for ${messages} messages${sse.held === 2 ? ' (the browser keeps the one that it first asked on)' : ''}; ${opened} opened and ${requests} ${requests === 1 ? 'request' : 'requests'} in all.${reconnected}`,
    verdict: sse.held <= 2 ? 'holds' : 'partly',
  };
}

/** Bytes on the wire beside the data itself, for each message; undefined before there are some. */
export function overheadOf({ messages, bytes: data, up, down }: Counts): number | undefined {
  return messages < ENOUGH ? undefined : Math.max(0, (up + down - data) / messages);
}

function overhead(lab: Lab): Claim {
  const claim = 'WebSocket has the least overhead.';
  const each = lab.lanes
    .map((one) => ({ name: one.name, extra: overheadOf(one.counts) }))
    .filter((one): one is { name: LaneName; extra: number } => one.extra !== undefined)
    .sort((a, b) => a.extra - b.extra);
  const [least] = each;
  if (!least || each.length < 4)
    return { id: 'overhead', claim, measured: 'Not enough messages yet.', verdict: 'open' };
  const list = each.map(({ name, extra }) => `${TITLES[name]} ${bytes(extra)}`).join(', ');
  const ws = each.find(({ name }) => name === 'ws');
  return {
    id: 'overhead',
    claim,
    measured: `Beside the data, a message took: ${list}.`,
    verdict: least.name === 'ws' ? 'holds' : ws && ws.extra <= least.extra * 1.1 ? 'partly' : 'not here',
  };
}

function blocked(lab: Lab, ws: Lane | undefined): Claim {
  const claim = 'Proxies block WebSocket.';
  const tried = lab.acts.some(({ what }) => what === 'upgrades blocked');
  if (!ws || !tried)
    return { id: 'blocked', claim, measured: 'Not tried yet: block the upgrade above.', verdict: 'open' };
  const over = ws.state.state === 'connected' ? ws.state.transport : undefined;
  if (!lab.faults.blockUpgrades)
    return {
      id: 'blocked',
      claim,
      measured: 'Upgrades were blocked, and pass again; nothing was lost.',
      verdict: 'holds',
    };
  if (over && over !== 'ws')
    return {
      id: 'blocked',
      claim,
      measured: `The upgrade is refused, and the lane goes on over ${TITLES[over]}, ${ws.tally.lost} lost. So this matters only without a ladder.`,
      verdict: 'holds',
    };
  return {
    id: 'blocked',
    claim,
    measured: `The upgrade is refused: nothing arrives, ${Math.max(0, lab.published - ws.tally.highest)} messages wait. Let lanes fall back, and see.`,
    verdict: 'holds',
  };
}
