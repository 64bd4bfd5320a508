// What lanes are called, and what is said of them.

import { milliseconds } from '../words';
import type { Lab } from './lab';
import type { Lane } from './lane';
import type { LaneName } from './node';

export const TITLES: Record<LaneName | 'tab', string> = {
  poll: 'Poll',
  'long-poll': 'Long-poll',
  sse: 'SSE',
  ws: 'WebSocket',
  tab: 'another tab',
};

export const WAYS: Record<LaneName, string> = {
  poll: 'asks at an interval',
  'long-poll': 'asks, and waits for news',
  sse: 'one response that does not end',
  ws: 'one connection, both ways',
};

/** How a lane is, in a word or two, and whether that is good. */
export interface Health {
  /** Whether messages arrive, in whatever way. */
  reads: boolean;
  kind: 'good' | 'warn' | 'bad';
  word: string;
  detail: string;
}

/** A lane may hear nothing for so long before anybody wonders. */
const QUIET_MS = 2_500;

export function health(lane: Lane, { published, settings }: Lab): Health {
  const interval = lane.name === 'poll' ? settings.intervalMs : 0;
  const expectedMs = QUIET_MS + interval + 1_500 / Math.max(settings.rate, 0.01);
  const { state, transport, reason, retryIn } = lane.state;
  const why = reason?.message ?? '';
  switch (state) {
    case 'connected': {
      if (published > lane.tally.highest && lane.silentMs > expectedMs)
        return {
          reads: false,
          kind: 'warn',
          word: 'hears nothing',
          detail: `for ${milliseconds(lane.silentMs)}; not noticed by the client yet`,
        };
      const other = transport !== undefined && transport !== lane.name;
      if (other) return { reads: true, kind: 'warn', word: `over ${TITLES[transport]}`, detail: why };
      return { reads: true, kind: 'good', word: 'connected', detail: '' };
    }
    case 'connecting':
      return { reads: false, kind: 'warn', word: 'connecting', detail: why };
    case 'waiting':
      return { reads: false, kind: 'bad', word: 'cut off', detail: `${why}; again in ${milliseconds(retryIn ?? 0)}` };
    case 'offline':
      return { reads: false, kind: 'bad', word: 'offline', detail: why };
    default:
      return { reads: false, kind: 'bad', word: 'closed', detail: why };
  }
}

/** What became of it the last time. */
export function recovered({ recovery }: Lane): string {
  if (!recovery) return '';
  const { what, afterMs, caughtUp } = recovery;
  if (afterMs === undefined) return `${what}: nothing new yet`;
  return `${what}: new messages after ${milliseconds(afterMs)}${caughtUp > 0 ? `, ${caughtUp} caught up` : ''}`;
}
