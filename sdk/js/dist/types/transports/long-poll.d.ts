import type { OpenTransport } from './transport.js';
/** Long-poll: a request that is held until there is news. */
export declare const longPoll: OpenTransport;
