// Who is there, where a namespace keeps presence.

import { fill, h } from '../dom';
import { type Member, presence, Refused } from './api';
import { clock, Trouble } from './reading';
import { repeatedly } from './repeat';
import { Table } from './table';

const ROWS = 100;
const EVERY_MS = 5000;

export class PresenceList {
  readonly element: HTMLElement;
  readonly #channel: string;
  readonly #title = h('h3', {}, 'Presence');
  readonly #trouble = new Trouble();
  readonly #table = new Table<Member>('Members', ({ user }) => user, [
    { title: 'User', text: ({ user }) => user },
    {
      title: 'Info',
      text: ({ info }) => (info == null ? '–' : JSON.stringify(info).slice(0, 200)),
      kind: () => 'mono',
    },
    { title: 'Since', number: true, text: ({ since }) => clock(since) },
  ]);
  readonly #asking = repeatedly(
    () => EVERY_MS,
    () => this.#ask(),
  );

  constructor(channel: string) {
    this.#channel = channel;
    this.element = h(
      'section',
      { class: 'card', 'aria-label': 'Presence' },
      this.#title,
      this.#trouble.element,
      this.#table.element,
    );
    this.#asking.now();
  }

  stop(): void {
    this.#asking.stop();
  }

  async #ask(): Promise<void> {
    try {
      const { members, count } = await presence(this.#channel);
      this.#trouble.say('');
      fill(this.#title, `Presence: ${count}`);
      const rest = count > ROWS ? `And ${count - ROWS} more.` : '';
      this.#table.show(members.slice(0, ROWS), count === 0 ? 'Nobody is there.' : rest);
    } catch (error) {
      if (error instanceof Refused && error.code === 'presence-off') {
        this.#table.show([], 'Its namespace keeps no presence.');
        this.#asking.stop();
      } else this.#trouble.failed(error as Error);
    }
  }
}
