// Who reads a channel, how far each is, and who has got one message.

import { fill, h } from '../dom';
import { say } from '../say';
import { amount, duration } from '../words';
import { type Reader, type Readers, readers } from './api';
import { askToDisconnect } from './disconnect';
import { Trouble } from './reading';
import { type Repeated, repeatedly } from './repeat';
import { Table } from './table';

/** Of up to 1,000 readers, so many are shown. */
const ROWS = 100;
const CALM_MS = 4000;
/** While a message is followed. */
const EAGER_MS = 1000;

/** The message that is followed. */
export interface Followed {
  cursor: string;
  /** What it is, for a person. */
  title: string;
}

export class ReaderTable {
  readonly element: HTMLElement;
  readonly #channel: string;
  readonly #trouble = new Trouble();
  readonly #title = h('h3', {}, 'Readers');
  readonly #stop = h('button', { type: 'button', class: 'slim', hidden: true }, 'Follow no longer');
  readonly #verdict = h('p', { class: 'verdict-line' });
  readonly #progress = h('progress', { max: 1, value: 0, hidden: true, 'aria-label': 'Readers that got the message' });
  readonly #asking: Repeated;
  readonly #onCounted: (readers: Readers) => void;
  #followed: Followed | undefined;
  #told = '';

  readonly #table = new Table<Reader>('Readers', ({ connection, node }) => `${node} ${connection}`, [
    {
      title: 'Got it',
      text: ({ passed }) => got(passed),
      kind: ({ passed }) => (passed ? 'good' : passed === false ? 'warn' : 'quiet'),
    },
    { title: 'User', text: ({ user }) => user ?? '–' },
    { title: 'Transport', text: ({ transport }) => transport },
    { title: 'Node', text: ({ node }) => node },
    { title: 'Address', text: ({ address }) => address, kind: () => 'mono' },
    { title: 'For', number: true, text: ({ since }) => duration((Date.now() - Date.parse(since)) / 1000) },
    {
      title: 'Behind',
      number: true,
      text: ({ behind }) => (behind === null ? '?' : amount(behind)),
      kind: ({ behind }) => (behind ? 'warn' : ''),
    },
    {
      title: 'End it',
      unseen: true,
      make: (item) =>
        h(
          'button',
          { type: 'button', class: 'danger slim', onclick: () => askToDisconnect(item(), () => this.#asking.now()) },
          'Disconnect…',
        ),
    },
  ]);

  constructor(channel: string, onCounted: (readers: Readers) => void) {
    this.#channel = channel;
    this.#onCounted = onCounted;
    this.#stop.addEventListener('click', () => this.follow(undefined));
    this.element = h(
      'section',
      { class: 'card readers', 'aria-label': 'Readers' },
      h('div', { class: 'row between' }, this.#title, this.#stop),
      this.#trouble.element,
      this.#verdict,
      this.#progress,
      this.#table.element,
    );
    this.#asking = repeatedly(
      () => (this.#followed ? EAGER_MS : CALM_MS),
      () => this.#ask(),
    );
    this.follow(undefined);
  }

  /** Asks now, and not only when it is time. */
  again(): void {
    this.#asking.now();
  }

  stop(): void {
    this.#asking.stop();
  }

  /** Says of each reader whether it got this message; of none, where there is none. */
  follow(message: Followed | undefined): void {
    this.#followed = message;
    this.#told = '';
    fill(this.#title, message ? `Who got ${message.title}` : 'Readers');
    this.#stop.hidden = message === undefined;
    this.#progress.hidden = message === undefined;
    this.element.classList.toggle('follows', message !== undefined);
    this.#asking.now();
  }

  async #ask(): Promise<void> {
    const followed = this.#followed;
    try {
      const answer = await readers(this.#channel, followed?.cursor);
      if (followed !== this.#followed) return;
      this.#trouble.asked(answer.nodes);
      this.#show(answer);
      this.#onCounted(answer);
    } catch (error) {
      this.#trouble.failed(error as Error);
    }
  }

  #show({ count, stuck, passed, readers }: Readers): void {
    // Those who have not got it are why one looks.
    const order = this.#followed ? [...readers].sort((a, b) => Number(a.passed ?? 0) - Number(b.passed ?? 0)) : readers;
    const left = count - Math.min(readers.length, ROWS) - stuck;
    this.#table.show(order.slice(0, ROWS), left > 0 ? `And ${amount(left)} more.` : '');
    const slow =
      stuck > 0
        ? ` ${amount(stuck)} ${stuck === 1 ? 'is' : 'are'} stuck: the socket takes nothing, so nobody knows.`
        : '';
    if (!this.#followed) {
      this.#verdict.className = 'verdict-line quiet';
      fill(
        this.#verdict,
        count === 0 ? 'Nobody reads this channel live.' : `${amount(count)} live; this page is a reader, too.${slow}`,
      );
      return;
    }
    const done = passed ?? 0;
    const all = done === count;
    this.#progress.max = Math.max(1, count);
    this.#progress.value = done;
    this.#verdict.className = `verdict-line ${all ? 'good' : 'warn'}`;
    const words = `${amount(done)} of ${amount(count)} readers got it.${slow}`;
    fill(this.#verdict, words);
    if (all && this.#told !== words) say(words);
    this.#told = words;
  }
}

const got = (passed: boolean | null | undefined) =>
  passed === undefined ? '–' : passed === null ? 'unknown' : passed ? '✓ yes' : 'not yet';
