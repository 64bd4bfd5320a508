// What a node says of itself, every 5 seconds, in the channel `@tidings:nodes`.

export interface Snapshot {
  node: string;
  /** Another for each start. */
  incarnation: string;
  version: string;
  started: string;
  time: string;
  state: 'serving' | 'draining' | 'not-ready' | 'stopped';
  reason: string | null;
  broker: { kind: string; ready: boolean; reason: string | null };
  connections: Record<Way, number> & { total: number; max: number | null };
  channels: number;
  readers: number;
  /** Totals since the start, as all totals. */
  messages: { in: number; out: number };
  bytes: { out: number };
  behind: { readers: number; longest_ms: number };
  errors: Record<string, number>;
  /** Bytes; null where the system does not say. */
  memory: number | null;
}

/** A transport, as a node counts its connections. */
export type Way = 'session' | 'websocket' | 'sse' | 'long-poll';
export const WAYS: readonly Way[] = ['session', 'websocket', 'sse', 'long-poll'];

export const CHANNEL = '@tidings:nodes';
/** A node speaks so often, in seconds. */
export const EVERY_S = 5;

/** Whether this can be counted with: another version may say things that this one does not know. */
export function isSnapshot(data: unknown): data is Snapshot {
  const one = data as Partial<Snapshot> | null;
  return (
    typeof one?.node === 'string' &&
    typeof one.incarnation === 'string' &&
    Number.isFinite(Date.parse(one.time ?? '')) &&
    typeof one.connections?.total === 'number' &&
    typeof one.messages?.out === 'number'
  );
}
