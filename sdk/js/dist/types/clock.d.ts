/** What happened to the page or the machine. */
export type Wake = 'online' | 'offline' | 'visible' | 'woke' | 'hide' | 'show';
/** Whether the browser is sure that there is no network. */
export declare const isOffline: () => boolean;
/** Whether nobody looks at the page. */
export declare const isHidden: () => boolean;
/** Tells what happens to the page and the machine, until the returned function is called. */
export declare function watch(tell: (wake: Wake) => void): () => void;
/** Notices when nothing was heard for some time. */
export declare class Silence {
    #private;
    /** `check` is called each second with the milliseconds since something was heard. */
    constructor(check: (silentMs: number) => void);
    heard(): void;
    end(): void;
}
/** Resolves after `ms`, or at once when one of the signals is aborted. */
export declare function sleep(ms: number, ...signals: AbortSignal[]): Promise<void>;
