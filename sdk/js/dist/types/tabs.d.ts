import type { Tidings } from './client.js';
import type { TidingsError } from './errors.js';
import type { Transport, Wire } from './transports/transport.js';
interface Parts {
    client: Tidings;
    /** Names the url and the user; never a token. */
    key: string;
    error: (code: string, detail: string) => TidingsError;
    /** This tab leads now: connect. */
    lead(): void;
    /** Another tab leads: connect through it. */
    follow(): void;
}
/** This tab among the others. */
export declare class Tabs {
    #private;
    constructor(parts: Parts);
    /** The transport of a tab that is led. */
    readonly open: (wire: Wire) => Transport;
    close(): void;
}
export {};
