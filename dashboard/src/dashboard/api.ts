// The node's HTTP, as docs/protocol.md has it under "Operating a cluster".

import { key } from './key';
import type { Snapshot } from './snapshot';

/** Which nodes a question reached; what a silent one knows is missing from the answer. */
export interface Asked {
  answered: string[];
  silent: string[];
}
export interface Reader {
  node: string;
  connection: string;
  user: string | null;
  transport: string;
  address: string;
  since: string;
  cursor: string | null;
  /** Messages to the end of the channel; null where that is not known. */
  behind: number | null;
  /** Whether it is past the cursor that was asked for. */
  passed?: boolean | null;
}
export interface Readers {
  channel: string;
  cursor: string | null;
  count: number;
  /** Those whose socket takes nothing, so that they do not say where they are. */
  stuck: number;
  passed?: number;
  readers: Reader[];
  nodes: Asked;
}
export interface Client {
  node: string;
  connection: string;
  user: string | null;
  transport: string;
  address: string;
  since: string;
  stuck: boolean;
}
export interface Used {
  channel: string;
  readers: number;
  nodes: string[];
}
export interface Member {
  user: string;
  info: unknown;
  since: string;
}

/** What a node answered that is no success; `code` is stable, `message` is for people. */
export class Refused extends Error {
  constructor(
    readonly code: string,
    readonly status: number,
    detail: string,
  ) {
    super(detail);
  }

  /** Whether another key is needed. */
  get wantsKey(): boolean {
    return this.status === 401 || (this.status === 403 && this.code === 'forbidden');
  }
}

let onWantsKey: (error: Refused) => void = () => {};

/** Calls `listener` whenever a node wants another key than it got. */
export function whenKeyIsWanted(listener: (error: Refused) => void): void {
  onWantsKey = listener;
}

const PATIENCE_MS = 10_000;
const segment = encodeURIComponent;

export const nodes = () => get<{ nodes: Snapshot[] }>('/v1/nodes');
export const drain = (node: string) => send<{ node: string }>(`/v1/nodes/${segment(node)}/drain`);
export const channels = (prefix: string, limit: number) =>
  get<{ channels: Used[]; more: boolean; nodes: Asked }>(
    `/v1/channels?${new URLSearchParams({ prefix, limit: `${limit}` })}`,
  );
export const readers = (channel: string, cursor?: string) =>
  get<Readers>(`${path(channel)}/readers${cursor ? `?${new URLSearchParams({ cursor })}` : ''}`);
export const presence = (channel: string) => get<{ members: Member[]; count: number }>(`${path(channel)}/presence`);
export const clients = (user: string, limit: number) =>
  get<{ clients: Client[]; count: number; nodes: Asked }>(
    `/v1/clients?${new URLSearchParams({ ...(user ? { user } : {}), limit: `${limit}` })}`,
  );
export const disconnect = (who: { connection: string } | { user: string }, away: boolean, reason: string) =>
  send<{ ended: number; nodes: Asked }>('/v1/clients/disconnect', { ...who, away, ...(reason ? { reason } : {}) });
export const revoke = (whose: { user: string } | { jti: string }, until: number | undefined) =>
  send<{ until: string; ended: number }>('/v1/revocations', { ...whose, ...(until ? { until } : {}) });

/** Stores a message: `data` as it stands, as text or as JSON. */
export function publish(channel: string, data: string, as: { json: boolean; event: string; key: string }) {
  const query = new URLSearchParams();
  if (as.event) query.set('event', as.event);
  if (as.key) query.set('key', as.key);
  return ask<{ cursor: string; id: string }>(`${path(channel)}?${query}`, {
    method: 'POST',
    headers: { 'content-type': as.json ? 'application/json' : 'text/plain; charset=utf-8' },
    body: data,
  });
}

const path = (channel: string) => `/v1/channels/${segment(channel)}`;
const get = <Value>(where: string) => ask<Value>(where, {});
const send = <Value>(where: string, body?: unknown) =>
  ask<Value>(where, {
    method: 'POST',
    ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });

async function ask<Value>(where: string, init: RequestInit): Promise<Value> {
  const token = key.get();
  const headers = new Headers(init.headers);
  if (token) headers.set('authorization', `Bearer ${token}`);
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const response = await fetch(where, { ...init, headers, signal, cache: 'no-store' }).catch(() => {
    throw new Refused('no-connection', 0, 'The node does not answer.');
  });
  const body = (await response.json().catch(() => ({}))) as Value & { code?: string; detail?: string };
  if (response.ok) return body;
  const refused = new Refused(
    body.code ?? 'unknown',
    response.status,
    body.detail ?? `The node answered ${response.status}.`,
  );
  if (response.status === 401) onWantsKey(refused);
  throw refused;
}
