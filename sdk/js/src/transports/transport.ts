import type { Credentials } from '../credentials.js';
import type { TidingsError } from '../errors.js';
import type { Http } from '../http.js';
import type { End, Gap, Member, Message, TransportName } from '../types.js';

/** One channel as it is read over the wire: it goes on after `cursor`. */
export interface Read {
  readonly channel: string;
  cursor: string;
  /** Grows whenever the read begins anew, at another place or in another way. */
  version: number;
  /** The version that the transport is known to deliver. */
  live: number;
  maxRate: number | undefined;
  conflate: 'key' | undefined;
  presence: boolean;
}

/** Why a transport is over. */
export interface Fault {
  error: TidingsError;
  /** Nothing said so: nothing was heard. */
  silent?: boolean;
  /** With another token it may go on. */
  renewed?: boolean;
}

/** All that a transport ever says. */
export type TransportEvent =
  /**
   * It is proved: what we send arrives, and what is sent arrives here. Comes before anything else; again where the
   * tab that has the connection, `via` a transport of its own, has another one now.
   */
  | { type: 'open'; via?: TransportName }
  /** From here on comes all that follows the cursor of this version of the read. */
  | { type: 'subscribed'; channel: string; version: number }
  | { type: 'message'; message: Message }
  | { type: 'gap'; gap: Gap }
  | { type: 'end'; end: End }
  /** The members, or how they changed. */
  | { type: 'presence'; channel: string; members?: Member[]; joined?: Member[]; left?: string[] }
  /** The server will not let this channel be read. */
  | { type: 'refused'; channel: string; error: TidingsError }
  /** It is over, and says nothing more. */
  | { type: 'closed'; fault: Fault };

/** What a transport works with. */
export interface Wire {
  readonly http: Http;
  readonly credentials: Credentials;
  readonly WebSocket: typeof WebSocket | undefined;
  /** What is to be read. `update` is called after it changed. */
  readonly reads: ReadonlyMap<string, Read>;
  /** Another transport still delivers: prove yourself before you read. */
  readonly trial: boolean;
  emit(event: TransportEvent): void;
}

/** A way to read logs. Opening it is calling its function; all else is three methods, and two that only some have. */
export interface Transport {
  /** Reads what `wire.reads` says now. */
  update(): void;
  /** The page or the machine woke: is the connection still there? */
  wake(): void;
  /** Ends it. It says nothing more. */
  close(): void;
  /** Asks for something on the same connection; rejects when it breaks. */
  request?(ask: object): Promise<Record<string, unknown>>;
  /** Goes on with another token. */
  refresh?(token: string): void;
}

export type OpenTransport = (wire: Wire) => Transport;
