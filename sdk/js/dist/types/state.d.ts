import type { TidingsError } from './errors.js';
import type { StateEvent, TransportName } from './types.js';
/** Where the connection is. `attempt` counts tries that failed since one held for `UPTIME_MS`. */
export type State = {
    readonly at: 'connecting';
    readonly transport: TransportName | undefined;
    readonly attempt: number;
    readonly reason: TidingsError | undefined;
} | {
    readonly at: 'connected';
    readonly transport: TransportName;
    readonly attempt: number;
    readonly since: number;
} | {
    readonly at: 'waiting';
    readonly attempt: number;
    readonly until: number;
    readonly reason: TidingsError;
} | {
    readonly at: 'offline';
    readonly attempt: number;
    readonly reason: TidingsError | undefined;
} | {
    readonly at: 'closed';
    readonly reason: TidingsError | undefined;
};
/** What can happen to it. Times are milliseconds of one clock. */
export type Step = {
    readonly type: 'try';
    readonly transport: TransportName;
} | {
    readonly type: 'open';
    readonly transport: TransportName;
    readonly now: number;
} | {
    readonly type: 'wait';
    readonly ms: number;
    readonly now: number;
    readonly reason: TidingsError;
    readonly attempt: number;
} | {
    readonly type: 'offline';
    readonly reason?: TidingsError;
} | {
    readonly type: 'close';
    readonly reason?: TidingsError;
};
/** A connection that held so long was good: the next failure is a first one. */
export declare const UPTIME_MS = 5000;
/** Before the first try. */
export declare const START: State;
/** Tries that failed, as of `now`. `news`: the last connection brought some. */
export declare function attempts(state: State, now: number, news: boolean): number;
/** The state after a step. Closed is for ever. */
export declare function reduce(state: State, step: Step): State;
/** What an application is told of it. */
export declare function told(state: State, now: number): StateEvent;
