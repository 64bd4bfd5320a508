// What the unit tests look at.
export * from '../src/backoff.js';
export * from '../src/cursor.js';
export * from '../src/errors.js';
export * from '../src/ladder.js';
export * from '../src/state.js';
export { grouped } from '../src/transports/requests.js';
