// How this page stands with its node.

import type { StateEvent } from '/sdk/tidings.js';
import { fill, h } from '../dom';
import { say } from '../say';

const NAMES: Record<string, string> = {
  ws: 'WebSocket',
  sse: 'Server-Sent Events',
  'long-poll': 'long-poll',
  poll: 'poll',
};

export class Link {
  readonly element = h('p', { class: 'link state quiet' }, 'connecting…');
  #event: StateEvent | undefined;
  #until = 0;
  #lost = 0;

  /** Takes in what the client tells. */
  take(event: StateEvent): void {
    const was = this.#event?.state;
    this.#event = event;
    if (event.state === 'connected' && this.#lost > 0) say('Live again');
    if (event.state === 'connected') this.#lost = 0;
    else if (was === 'connected') {
      this.#lost = Date.now();
      say('The connection to the node is lost');
    }
    this.#until = Date.now() + (event.retryIn ?? 0);
    this.show();
  }

  /** Once a second: the seconds to the next try. */
  show(): void {
    const [words, kind] = this.#words();
    if (this.element.textContent !== words) fill(this.element, words);
    this.element.className = `link state ${kind}`;
  }

  #words(): [string, string] {
    const { state, transport } = this.#event ?? { state: 'connecting', transport: undefined };
    const since =
      this.#lost > 0 ? ` What stands here is from ${new Date(this.#lost).toLocaleTimeString('en-GB')}.` : '';
    if (state === 'connected') return [`live over ${NAMES[transport ?? ''] ?? transport}`, 'good'];
    if (state === 'waiting') {
      const seconds = Math.max(0, Math.ceil((this.#until - Date.now()) / 1000));
      return [`no connection; the next try in ${seconds} s.${since}`, 'bad'];
    }
    if (state === 'offline') return [`this device is offline.${since}`, 'bad'];
    if (state === 'closed') return ['closed', 'quiet'];
    return [`connecting…${since}`, this.#lost > 0 ? 'warn' : 'quiet'];
  }
}
