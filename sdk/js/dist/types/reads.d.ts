import { TidingsError } from './errors.js';
import type { Http } from './http.js';
import { type Subscription } from './subscription.js';
import type { Read, TransportEvent } from './transports/transport.js';
import type { PresenceChange } from './types.js';
/** What a client reads: one read a channel, whatever the number of its subscriptions, each at its own place. */
export declare class Reads {
    #private;
    /** Channel → how it is read over the wire. */
    readonly wanted: Map<string, Read>;
    /** `changed` is called when `wanted` is not what it was. */
    constructor(http: Http, changed: () => void);
    add(subscription: Subscription): void;
    /** Ends a subscription's part, and the read with its last one. */
    remove(subscription: Subscription): void;
    /** Ends all; with an error, where there is one. */
    close(reason: TidingsError | undefined): void;
    /** Somebody came or went. */
    tellPresence(change: PresenceChange): void;
    /** Resolves when each subscription of these channels that was made before knows where it begins, or is over. */
    begun(channels: Iterable<string>): Promise<void>;
    /** Something came over the wire. */
    hear(event: TransportEvent): void;
}
