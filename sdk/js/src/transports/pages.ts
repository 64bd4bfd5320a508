import type { Page } from '../http.js';
import type { Read, Wire } from './transport.js';

/** Tells a page in the order of its logs. The gap stands before the messages. */
export function tell(wire: Wire, reads: Read[], page: Page): void {
  for (const { channel, version } of reads) wire.emit({ type: 'subscribed', channel, version });
  if (page.gap) wire.emit({ type: 'gap', gap: page.gap });
  for (const message of page.messages) wire.emit({ type: 'message', message });
  for (const end of page.ended ?? []) wire.emit({ type: 'end', end });
}

/** Whether a page says anything. */
export const hasNews = (page: Page): boolean => page.messages.length > 0 || page.gap !== null;
