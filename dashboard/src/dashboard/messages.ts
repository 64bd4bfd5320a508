// A channel's newest messages, and each new one as it comes.

import type { Gap, Message, Subscription, Tidings } from '/sdk/tidings.js';
import { fill, h } from '../dom';
import { clock } from './reading';

const FIRST = 50;
/** Lines that are kept; the oldest go. */
const LINES_MAX = 200;
const TEXT_MAX = 2000;

const MISSING: Record<Gap['why'], string> = {
  expired: 'are no longer kept',
  epoch: 'are gone: the log began anew',
  lagged: 'were skipped: this page was too slow',
};

export class Messages {
  readonly element: HTMLElement;
  readonly #list = h('ol');
  readonly #log = h(
    'div',
    { class: 'log', role: 'log', 'aria-live': 'off', 'aria-label': 'Messages', tabindex: 0, hidden: true },
    this.#list,
  );
  /** What came since the last picture was painted: a burst of thousands is one change of the page. */
  #waiting: (() => HTMLElement)[] = [];
  readonly #note = h('p', { class: 'quiet empty' }, 'Reading…');
  readonly #subscription: Subscription;
  readonly #onFollow: (message: Message) => void;

  constructor(client: Tidings, channel: string, onFollow: (message: Message) => void) {
    this.#onFollow = onFollow;
    this.element = h('div', { class: 'messages' }, this.#note, this.#log);
    this.#subscription = client.channel(channel).subscribe({
      last: FIRST,
      onMessage: (message) => this.#add(() => this.#line(message)),
      onGap: ({ why, missed }) =>
        this.#add(() => h('li', { class: 'gap' }, `${missed ?? 'Some'} messages ${MISSING[why]}.`)),
      onEnd: () => this.#add(() => h('li', { class: 'gap' }, 'The channel was closed; nothing follows.')),
      onError: (error) => this.#say(error.message),
    });
    this.#subscription.ready.then(
      () =>
        this.#list.childElementCount + this.#waiting.length === 0 &&
        this.#say('No message is kept. New ones come by themselves.'),
      () => {},
    );
  }

  /** Resolves when the page reads the channel; never, where it may not. */
  get ready(): Promise<unknown> {
    return this.#subscription.ready.catch(() => new Promise(() => {}));
  }

  stop(): void {
    this.#subscription.unsubscribe();
  }

  #say(text: string): void {
    this.#note.hidden = false;
    fill(this.#note, text);
  }

  #add(line: () => HTMLElement): void {
    this.#waiting.push(line);
    if (this.#waiting.length > LINES_MAX) this.#waiting.shift();
    if (this.#waiting.length === 1) requestAnimationFrame(() => this.#paint());
  }

  /** The newest stands at the top, so that it is seen without scrolling. */
  #paint(): void {
    this.#note.hidden = true;
    const [list, log] = [this.#list, this.#log];
    log.hidden = false;
    const [above, height] = [log.scrollTop, log.scrollHeight];
    list.prepend(...this.#waiting.map((line) => line()).reverse());
    this.#waiting = [];
    // Who has scrolled down goes on reading where they are.
    if (above > 0) log.scrollTop = above + log.scrollHeight - height;
    while (list.childElementCount > LINES_MAX) list.lastElementChild?.remove();
  }

  #line(message: Message): HTMLElement {
    return h(
      'li',
      {},
      h('pre', { class: 'data' }, words(message.data)),
      h(
        'div',
        { class: 'meta quiet' },
        h('time', { datetime: message.time }, clock(message.time)),
        message.event !== 'message' && h('span', { class: 'badge' }, message.event),
        message.key !== undefined && h('span', {}, `key ${message.key}`),
        message.from !== undefined && h('span', {}, `from ${message.from}`),
        h(
          'button',
          { type: 'button', class: 'slim', onclick: () => this.#onFollow(message) },
          'Who got it?',
          h('span', { class: 'visually-hidden' }, ` The message of ${clock(message.time)}`),
        ),
      ),
    );
  }
}

/** A message's data, as far as there is room. */
export function words(data: unknown): string {
  if (data instanceof Uint8Array) {
    const begin = [...data.subarray(0, 24)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    return `${data.length} bytes: ${begin}${data.length > 24 ? ' …' : ''}`;
  }
  const text = typeof data === 'string' ? data : (JSON.stringify(data) ?? '');
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)} … (${text.length - TEXT_MAX} more characters)` : text;
}
