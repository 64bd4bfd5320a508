// One channel: its messages, its end, who reads it and who is there; and to publish into it.

import type { Tidings } from '/sdk/tidings.js';
import { copyButton } from '../copy';
import { fill, h } from '../dom';
import { amount } from '../words';
import { Messages, words } from './messages';
import { PresenceList } from './presence-list';
import { publishForm } from './publish-form';
import { type Followed, ReaderTable } from './reader-table';
import { command } from './shell';

const TITLE_MAX = 40;

export class ChannelView {
  readonly element: HTMLElement;
  readonly #messages: Messages;
  readonly #readers: ReaderTable;
  readonly #presence: PresenceList;
  #stopped = false;

  /** `onRead` is called when this page has become a reader of it. */
  constructor(client: Tidings, name: string, onRead: () => void) {
    const facts = h('dl', { class: 'facts' });
    let cursor = '';
    this.#readers = new ReaderTable(name, (answer) => {
      cursor = answer.cursor ?? '';
      fill(
        facts,
        h('div', {}, h('dt', {}, 'Live readers'), h('dd', {}, amount(answer.count))),
        h('div', {}, h('dt', {}, 'Stuck'), h('dd', { class: answer.stuck > 0 ? 'bad' : null }, amount(answer.stuck))),
        h('div', { class: 'wide' }, h('dt', {}, 'Cursor, its end'), h('dd', { class: 'mono' }, cursor || 'empty')),
      );
    });
    const follow = (message: Followed) => {
      this.#readers.follow(message);
      this.#readers.element.scrollIntoView({ block: 'nearest' });
    };
    this.#messages = new Messages(client, name, (message) =>
      follow({ cursor: message.cursor, title: `“${short(words(message.data))}”` }),
    );
    this.#presence = new PresenceList(name);
    this.element = h(
      'div',
      { class: 'channel' },
      h(
        'section',
        { class: 'card', 'aria-labelledby': 'channel-title' },
        h('a', { href: '#channels', class: 'back' }, '← All channels'),
        h(
          'div',
          { class: 'row between' },
          h('h2', { id: 'channel-title', class: 'mono', tabindex: -1 }, name),
          copyButton('its cursor', () => cursor, 'Copy cursor'),
        ),
        facts,
        h('p', { class: 'quiet small command' }, 'On the command line: ', h('code', {}, command('channel', name))),
      ),
      h(
        'section',
        { class: 'card', 'aria-labelledby': 'messages-title' },
        h('h3', { id: 'messages-title' }, 'Messages'),
        this.#messages.element,
      ),
      h('div', { class: 'beside' }, publishForm(name, follow), this.#presence.element),
      this.#readers.element,
    );
    void this.#messages.ready.then(() => {
      if (this.#stopped) return;
      this.#readers.again();
      onRead();
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#messages.stop();
    this.#readers.stop();
    this.#presence.stop();
  }
}

const short = (text: string) => (text.length > TITLE_MAX ? `${text.slice(0, TITLE_MAX)}…` : text);
