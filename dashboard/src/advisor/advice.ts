// The node's advice: it decides by the rules of `tidings advise`, and this page by none of its own.

import type { Situation } from './situation';

export type Transport = 'ws' | 'sse' | 'long-poll' | 'poll';
export const TRANSPORTS: readonly Transport[] = ['ws', 'sse', 'long-poll', 'poll'];
/** What each is called where there is room. */
export const NAMES: Record<Transport, string> = {
  ws: 'WebSocket',
  sse: 'Server-Sent Events',
  'long-poll': 'Long-poll',
  poll: 'Poll',
};

/** What all users together cost over one transport. */
export interface Cost {
  requests_per_s: number;
  /** The share of replies that hold nothing, from 0 to 1. */
  empty: number;
  connections: number;
  bytes_out_per_s: number;
  bytes_in_per_s: number;
  memory_bytes: number;
  cores: number;
  age_mean_s: number;
  age_max_s: number;
  nodes: number;
}

/** Another answer to one question, and what would then be advised. */
export interface Turn {
  when: string;
  then: string;
  situation: Situation;
}

export interface Advice {
  situation: Situation;
  decision: {
    ladder: Transport[];
    delivery: string;
    reasons: { of: 'transport' | 'ladder' | 'delivery'; because: string }[];
  };
  costs: Record<Transport, Cost>;
  configuration: string;
  code: string;
  turns: Turn[];
}

/** A usual application to start from. */
export interface Example {
  name: string;
  situation: Situation;
}

const PATIENCE_MS = 8000;

/** Asks the node. Rejects with words for a person. */
export function ask(situation: Situation, signal: AbortSignal): Promise<Advice> {
  return json('/dev/advise', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(situation),
    signal: AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]),
  });
}

/** The applications of docs/choosing.md. */
export async function examples(): Promise<Example[]> {
  return (await json<{ examples: Example[] }>('/dev/advise/examples', { signal: AbortSignal.timeout(PATIENCE_MS) }))
    .examples;
}

async function json<Value>(path: string, init: RequestInit): Promise<Value> {
  const response = await fetch(path, init).catch((error: Error) => {
    throw error.name === 'AbortError' ? error : new Error('the node does not answer; is it still running?');
  });
  if (!response.ok) {
    const problem = (await response.json().catch(() => ({}))) as { detail?: string };
    throw new Error(problem.detail ?? `the node answered ${response.status}`);
  }
  return (await response.json()) as Value;
}
