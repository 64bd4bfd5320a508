import type { TransportName } from './types.js';
/** Which transport to try: the best that is not known to be bad on this network. */
export declare class Ladder {
    #private;
    constructor(order: readonly TransportName[], node: string, now: number);
    /** The next to try, or undefined where all have failed: then wait, and begin again. */
    next(now: number): TransportName | undefined;
    /**
     * It did not open. Only if another one does, it is to blame, and not the node. True where it deserves another try
     * first: it has held before, and failed `quickly`, as all do while a node is restarted.
     */
    failed(name: TransportName, quickly: boolean): boolean;
    /** It is proved; so are those bad that failed just before it. */
    opened(name: TransportName, now: number): void;
    /** It was open for `uptimeMs`, and is lost: silently, or because it was found to be `blocked`. */
    lost(name: TransportName, uptimeMs: number, silent: boolean, blocked: boolean, now: number): void;
    /** A better one was tried in the background, and did not open. */
    notYet(name: TransportName, now: number): void;
    /** The network is another one: what was bad may be good. */
    forget(): void;
    /** The better transport that is worth trying soonest, and in how many milliseconds. */
    better(than: TransportName, now: number): {
        name: TransportName;
        inMs: number;
    } | undefined;
}
