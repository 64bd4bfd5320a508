/** Tidings in the browser, and wherever else there is `fetch`. See README.md. */
export { Channel, type FollowOptions, type Load } from './channel.js';
export { Tidings } from './client.js';
export { TidingsError } from './errors.js';
export { Subscription } from './subscription.js';
export type * from './types.js';
