import { Channel } from './channel.js';
import type { ClientEvents, StateEvent, TidingsOptions } from './types.js';
/** A connection to a Tidings server that the application need not think about. */
export declare class Tidings {
    #private;
    /** Writes what happens to the console, never payloads or tokens. `localStorage.tidings_debug = 1` switches it on, too. */
    debug: boolean;
    constructor(options?: TidingsOptions);
    /** What `state` events tell, now. */
    get state(): StateEvent;
    /** Calls `listener` at each event, until the function that it returns is called. */
    on<E extends keyof ClientEvents>(_event: E, listener: (event: ClientEvents[E]) => void): () => void;
    /** A channel by its name. `T` is what its messages hold. */
    channel<T = unknown>(name: string): Channel<T>;
    /** Ends every subscription and the connection, for good. Publishes that wait are rejected. */
    close(): void;
}
