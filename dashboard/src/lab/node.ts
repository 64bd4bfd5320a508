// What the page asks of the node's side of the lab (`--dev` alone): see docs/lab.md.

/** Lanes, from the one that asks most to the one that asks least. */
export const LANES = ['poll', 'long-poll', 'sse', 'ws'] as const;
export type LaneName = (typeof LANES)[number];

/** How much is published. */
export interface Publishing {
  /** Messages a second. */
  rate: number;
  /** Bytes of each. */
  bytes: number;
}

/** A lane as the node's proxy sees it. Bytes are those that TCP carried, heads included. */
export interface LaneCounts {
  port: number;
  up: number;
  down: number;
  opened: number;
  held: number;
}

export interface Status {
  id: string;
  channel: string;
  /** When it was opened: another time is another lab under the same name, which counts anew. */
  opened_ms: number;
  published: number;
  publish: Publishing;
  lanes: Record<LaneName, LaneCounts>;
}

/** What is to change on lanes; without `lanes` on all. */
export interface Changes {
  lanes?: LaneName[];
  cut?: boolean;
  offline?: boolean;
  block_upgrades?: boolean;
  buffer_streams?: boolean;
  publish?: Publishing;
}

export interface Opening {
  id?: string;
  ports?: Partial<Record<LaneName, number>>;
  publish: Publishing;
}

/** The node refused, with its code; `unreachable` where it did not answer. */
export class Refused extends Error {
  constructor(
    readonly code: string,
    detail: string,
  ) {
    super(detail);
  }
}

const PATIENCE_MS = 4_000;

export const openLab = (opening: Opening): Promise<Status> => ask('POST', '/dev/lab', opening);
export const lookAt = (id: string): Promise<Status> => ask('GET', `/dev/lab/${id}`);
export const changeLab = (id: string, changes: Changes): Promise<Status> => ask('POST', `/dev/lab/${id}`, changes);
export const restartNode = (): Promise<unknown> => ask('POST', '/dev/restart');

/** The cursor at the end of a channel, as a backend would hand it to its page: so no lane has to ask for its place. */
export async function endOf(channel: string): Promise<string> {
  const page = await ask<{ cursor: string }>('GET', `/v1/channels/${channel}?after=latest`);
  return page.cursor;
}

/** Ends a lab, also while the page goes away. */
export function endLab(id: string): void {
  fetch(`/dev/lab/${id}`, { method: 'DELETE', keepalive: true }).catch(() => undefined);
}

async function ask<T>(method: string, path: string, body?: object): Promise<T> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const init = { method, signal, cache: 'no-store' as const, ...(body && { body: JSON.stringify(body) }) };
  const reply = await fetch(path, init).catch((error) => {
    throw new Refused('unreachable', `the node does not answer (${error instanceof Error ? error.message : error})`);
  });
  if (reply.ok) return (await reply.json()) as T;
  const problem = (await reply.json().catch(() => ({}))) as { code?: string; detail?: string };
  throw new Refused(problem.code ?? 'unexpected', problem.detail ?? `the node answered ${reply.status}`);
}
