import type { TidingsError } from './errors.js';
import type { StateEvent, TransportName } from './types.js';

/** Where the connection is. `attempt` counts tries that failed since one held for `UPTIME_MS`. */
export type State =
  | {
      readonly at: 'connecting';
      readonly transport: TransportName | undefined;
      readonly attempt: number;
      readonly reason: TidingsError | undefined;
    }
  | { readonly at: 'connected'; readonly transport: TransportName; readonly attempt: number; readonly since: number }
  | { readonly at: 'waiting'; readonly attempt: number; readonly until: number; readonly reason: TidingsError }
  | { readonly at: 'offline'; readonly attempt: number; readonly reason: TidingsError | undefined }
  | { readonly at: 'closed'; readonly reason: TidingsError | undefined };

/** What can happen to it. Times are milliseconds of one clock. */
export type Step =
  | { readonly type: 'try'; readonly transport: TransportName }
  | { readonly type: 'open'; readonly transport: TransportName; readonly now: number }
  | {
      readonly type: 'wait';
      readonly ms: number;
      readonly now: number;
      readonly reason: TidingsError;
      readonly attempt: number;
    }
  | { readonly type: 'offline'; readonly reason?: TidingsError }
  | { readonly type: 'close'; readonly reason?: TidingsError };

/** A connection that held so long was good: the next failure is a first one. */
export const UPTIME_MS = 5_000;

/** Before the first try. */
export const START: State = { at: 'connecting', transport: undefined, attempt: 0, reason: undefined };

/** While each connection brings some news, however short it lives, waits need not grow beyond those of the second try. */
const WITH_NEWS = 1;

/** Tries that failed, as of `now`. `news`: the last connection brought some. */
export function attempts(state: State, now: number, news: boolean): number {
  if (state.at === 'closed') return 0;
  if (state.at === 'connected' && now - state.since >= UPTIME_MS) return 0;
  return news ? Math.min(state.attempt, WITH_NEWS) : state.attempt;
}

/** The state after a step. Closed is for ever. */
export function reduce(state: State, step: Step): State {
  if (state.at === 'closed') return state;
  switch (step.type) {
    case 'try':
      return {
        at: 'connecting',
        transport: step.transport,
        attempt: state.attempt,
        reason: 'reason' in state ? state.reason : undefined,
      };
    case 'open':
      return { at: 'connected', transport: step.transport, attempt: state.attempt, since: step.now };
    case 'wait':
      return { at: 'waiting', attempt: step.attempt, until: step.now + step.ms, reason: step.reason };
    case 'offline':
      return { at: 'offline', attempt: 0, reason: step.reason };
    case 'close':
      return { at: 'closed', reason: step.reason };
  }
}

/** What an application is told of it. */
export function told(state: State, now: number): StateEvent {
  const event: StateEvent = { state: state.at };
  if ('transport' in state && state.transport) event.transport = state.transport;
  if ('reason' in state && state.reason) event.reason = state.reason;
  if (state.at === 'waiting') event.retryIn = Math.max(0, state.until - now);
  return event;
}
