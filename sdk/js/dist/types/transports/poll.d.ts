import type { OpenTransport } from './transport.js';
/** Interval polling: quick after news, slower while nothing comes, at once when somebody looks again. */
export declare const poll: OpenTransport;
