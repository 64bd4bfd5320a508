/** Ways to read a log, best first. `tab`: through the connection of another tab of this browser. */
export type TransportName = 'ws' | 'sse' | 'long-poll' | 'poll' | 'tab';

/** One message of a channel's log. */
export interface Message<T = unknown> {
  channel: string;
  /** The place just after this message: opaque, valid on every transport and node. */
  cursor: string;
  /** The publisher's idempotency key, or one that the server made. */
  id: string;
  /** The event name; `message` where none was given. */
  event: string;
  /** The key for compaction and conflation, if there is one. */
  key?: string;
  /** The publisher's user id, if there is one. */
  from?: string;
  /** RFC 3339, the clock of the node that stored it; says nothing of order. */
  time: string;
  /** `base64` where bytes were published; `data` is then a Uint8Array. */
  encoding?: 'base64';
  data: T;
}

/** Messages between two places that cannot be delivered. Reload your state, then go on: what follows comes by itself. */
export interface Gap {
  channel: string;
  /** Where it begins, or null where that cannot be known. */
  after: string | null;
  /** Where it ends. The next message comes after it. */
  until: string;
  /** `expired`: no longer kept. `epoch`: the log began anew. `lagged`: an at-most-once reader was too slow. */
  why: 'expired' | 'epoch' | 'lagged';
  /** How many, or null where that cannot be known. */
  missed: number | null;
}

/** A channel was closed, and this is all of it. */
export interface End {
  channel: string;
  cursor: string;
}

/** A user who reads a channel. */
export interface Member {
  user: string;
  info: unknown;
  /** RFC 3339: when the oldest connection opened that still counts. */
  since: string;
}

/** Who reads a channel. */
export interface Presence {
  members: Member[];
  count: number;
}

/** Who came and who left, and who is there now. */
export interface PresenceChange extends Presence {
  channel: string;
  joined: Member[];
  /** User ids. */
  left: string[];
}

/** What the server answers to a publish. */
export interface Published {
  channel: string;
  /** The place just after the message. */
  cursor: string;
  id: string;
  /** The same key was stored before: this is the answer of that time. */
  duplicate: boolean;
}

/** A page of what a channel keeps. */
export interface History<T = unknown> {
  messages: Message<T>[];
  /** Where to go on: give it as `after`. */
  cursor: string;
  gap: Gap | null;
  delivery: string;
}

/** Where a read begins: `earliest`, `latest`, or a cursor; or the newest `last` messages. */
export interface Place {
  after?: string | undefined;
  last?: number | undefined;
}

/** What `client.on('state')` tells. */
export interface StateEvent {
  state: 'connecting' | 'connected' | 'waiting' | 'offline' | 'closed';
  /** The one in use when connected, the one tried when connecting. */
  transport?: TransportName;
  /** Why it is so: the error of the last connection. */
  reason?: Error;
  /** Milliseconds until the next try, when waiting. */
  retryIn?: number;
}

/** Names and values of the client's events. */
export interface ClientEvents {
  state: StateEvent;
}

/** A token, or nothing for public channels; called at the start, before a token ends, and when one is refused. */
export type TokenSource = string | (() => string | undefined | Promise<string | undefined>);

/** How a client connects. Everything has a default but the url, and that is the page's own origin in a browser. */
export interface TidingsOptions {
  /** The node or the load balancer before it, e.g. `https://tidings.example.com`. A path before `/v1` is kept. */
  url?: string | URL;
  token?: TokenSource;
  /** In the order in which they are tried. Default: all four. */
  transports?: Exclude<TransportName, 'tab'>[];
  /** Whether tabs of this origin with the same url and user share one connection. Default: true where a browser can. */
  shareTabs?: boolean;
  /** The server's window for idempotency keys, in milliseconds. Default 120,000. */
  dedupe?: number;
  /** Publishes that may wait for a connection, before `publish` rejects with `queue-full`. Default 1,000. */
  queue?: number;
  /** Writes what happens to the console, without payloads and tokens. */
  debug?: boolean;
  /** For runtimes without them (Node 20 has no WebSocket). */
  fetch?: typeof fetch;
  WebSocket?: typeof WebSocket;
}

/** What a subscription asks for, and where its messages go. */
export interface SubscribeOptions<T = unknown> extends Place {
  onMessage?: (message: Message<T>) => void;
  onGap?: (gap: Gap) => void;
  /** The channel was closed; nothing follows. */
  onEnd?: (end: End) => void;
  /** The server refuses this subscription; it is over. */
  onError?: (error: Error) => void;
  /** Who comes and goes. Needs `presence = true` in the namespace. */
  onPresence?: (change: PresenceChange) => void;
  /** At most so many messages a second; 0.1 is one each ten seconds. Nothing is lost. */
  maxRate?: number;
  /** Beside maxRate: while a message waits, a newer one with the same `key` takes its place. */
  conflate?: 'key';
}

/** What goes with a published message. */
export interface PublishOptions {
  event?: string;
  /** For compaction and conflation. */
  key?: string;
  /** The idempotency key; made for you where you give none. */
  id?: string;
}
