import type { OpenTransport } from './transport.js';
/** Server-Sent Events, read by fetch: so that a token can go in a header, and the first bytes can be timed. */
export declare const sse: OpenTransport;
