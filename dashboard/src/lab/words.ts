// What lanes are called, and what is said of them.

import { milliseconds } from '../words';
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
  'long-poll': 'asks, and is answered when there is news',
  sse: 'one response that does not end',
  ws: 'one connection, both ways',
};

/** How a lane is, in a word or two, and whether that is good. */
export interface Health {
  kind: 'good' | 'warn' | 'bad';
  word: string;
  detail: string;
}

/** `expectedMs`: how long a lane may hear nothing while all is well. */
export function health(lane: Lane, published: number, expectedMs: number): Health {
  const { state, transport, reason, retryIn } = lane.state;
  const why = reason?.message ?? '';
  switch (state) {
    case 'connected': {
      if (published > lane.tally.highest && lane.silentMs > expectedMs)
        return {
          kind: 'warn',
          word: 'hears nothing',
          detail: `for ${milliseconds(lane.silentMs)}; not noticed by the client yet`,
        };
      const other = transport !== undefined && transport !== lane.name;
      if (other) return { kind: 'warn', word: `over ${TITLES[transport]}`, detail: why };
      return { kind: 'good', word: 'connected', detail: '' };
    }
    case 'connecting':
      return { kind: 'warn', word: 'connecting', detail: why };
    case 'waiting':
      return { kind: 'bad', word: 'cut off', detail: `${why}; again in ${milliseconds(retryIn ?? 0)}` };
    case 'offline':
      return { kind: 'bad', word: 'offline', detail: why };
    default:
      return { kind: 'bad', word: 'closed', detail: why };
  }
}

/** What became of it the last time. */
export function recovered({ recovery }: Lane): string {
  if (!recovery) return '';
  const { what, afterMs, caughtUp } = recovery;
  if (afterMs === undefined) return `${what}: nothing new yet`;
  return `${what}: new messages after ${milliseconds(afterMs)}${caughtUp > 0 ? `, ${caughtUp} caught up` : ''}`;
}
