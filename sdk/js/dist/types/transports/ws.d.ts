import type { OpenTransport } from './transport.js';
/** The session of `/v1/connect`: all channels, publishing and presence on one WebSocket. */
export declare const ws: OpenTransport;
