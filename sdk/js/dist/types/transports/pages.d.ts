import type { Page } from '../http.js';
import type { Read, Wire } from './transport.js';
/** Tells a page in the order of its logs. The gap stands before the messages. */
export declare function tell(wire: Wire, reads: Read[], page: Page): void;
/** Whether a page says anything. */
export declare const hasNews: (page: Page) => boolean;
