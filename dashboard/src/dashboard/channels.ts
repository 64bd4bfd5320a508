// To find a channel: those that are read now, by how their names begin, or any by its whole name.

import type { Tidings } from '/sdk/tidings.js';
import { fill, h } from '../dom';
import { amount } from '../words';
import { channels, type Used } from './api';
import { ChannelView } from './channel';
import { Trouble } from './reading';
import { repeatedly } from './repeat';
import { Table } from './table';

const LIMIT = 100;
const EVERY_MS = 5000;
const CALM_MS = 250;

export const address = (channel: string) => `#channels/${encodeURIComponent(channel)}`;

export class Channels {
  readonly element: HTMLElement;
  readonly #input = h('input', {
    type: 'search',
    id: 'prefix',
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
    placeholder: 'chat:',
  });
  readonly #trouble = new Trouble();
  readonly #open = h('div', {});
  readonly #client: () => Tidings;
  readonly #table = new Table<Used>('Channels in use', ({ channel }) => channel, [
    { title: 'Channel', make: (item) => h('a', { href: address(item().channel), class: 'mono' }, item().channel) },
    { title: 'Readers', number: true, text: ({ readers }) => amount(readers) },
    { title: 'On nodes', text: ({ nodes }) => few(nodes) },
  ]);
  readonly #asking = repeatedly(
    () => EVERY_MS,
    () => this.#ask(),
  );
  #view: ChannelView | undefined;
  /** What is shown: a channel, or, empty, none. */
  #name: string | undefined;

  constructor(client: () => Tidings) {
    this.#client = client;
    let calm = 0;
    this.#input.addEventListener('input', () => {
      clearTimeout(calm);
      calm = setTimeout(() => this.#asking.now(), CALM_MS);
    });
    const form = h(
      'form',
      { class: 'find' },
      h('label', { for: 'prefix' }, 'Its name, or how it begins'),
      h('div', { class: 'row' }, this.#input, h('button', {}, 'Open')),
    );
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const name = this.#input.value.trim();
      if (name) location.hash = address(name);
    });
    this.element = h(
      'div',
      { class: 'view channels' },
      h(
        'section',
        { class: 'card', 'aria-labelledby': 'channels-title' },
        h('h2', { id: 'channels-title' }, 'Channels in use'),
        form,
        this.#trouble.element,
        this.#table.element,
      ),
      this.#open,
    );
  }

  /** Shows the list and, where there is a name, that channel. */
  show(name: string): void {
    this.#asking.now();
    if (name === this.#name) return;
    this.#name = name;
    this.#view?.stop();
    this.#view = undefined;
    this.element.classList.toggle('opened', name !== '');
    if (name === '') {
      fill(
        this.#open,
        h('p', { class: 'quiet hint' }, 'Choose a channel to see its messages, its readers and who is there.'),
      );
      return;
    }
    const view = new ChannelView(this.#client(), name, () => this.#asking.now());
    this.#view = view;
    fill(this.#open, view.element);
    view.element.querySelector<HTMLElement>('#channel-title')?.focus();
  }

  hide(): void {
    this.#asking.stop();
    this.#name = undefined;
    this.#view?.stop();
    this.#view = undefined;
    fill(this.#open);
  }

  async #ask(): Promise<void> {
    const prefix = this.#input.value.trim();
    try {
      const { channels: found, more, nodes } = await channels(prefix, LIMIT);
      this.#trouble.asked(nodes);
      const none = prefix
        ? `No channel that begins so is read now. One that nobody reads is opened by its whole name.`
        : 'No channel is read now.';
      this.#table.show(found, found.length === 0 ? none : more ? 'There are more: type how its name begins.' : '');
    } catch (error) {
      this.#trouble.failed(error as Error);
    }
  }
}

const few = (names: string[]) =>
  names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');
