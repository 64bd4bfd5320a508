// Who is connected; to end connections, and to revoke tokens.

import { fill, h } from '../dom';
import { amount, duration } from '../words';
import { type Client, clients } from './api';
import { askToDisconnect } from './disconnect';
import { Trouble } from './reading';
import { repeatedly } from './repeat';
import { revokeForm } from './revoke';
import { Table } from './table';

const LIMIT = 100;
const EVERY_MS = 5000;
const CALM_MS = 250;

export class Clients {
  readonly element: HTMLElement;
  readonly #input = h('input', {
    type: 'search',
    id: 'user',
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
    placeholder: 'all',
  });
  readonly #trouble = new Trouble();
  readonly #count = h('p', { class: 'quiet' }, 'Asking…');
  readonly #all = h('button', { type: 'button', class: 'danger', hidden: true });
  readonly #table = new Table<Client>('Clients', ({ connection, node }) => `${node} ${connection}`, [
    { title: 'User', text: ({ user }) => user ?? '–', kind: ({ user }) => (user ? 'strong' : 'quiet') },
    { title: 'Transport', text: ({ transport }) => transport },
    { title: 'Node', text: ({ node }) => node },
    { title: 'Address', text: ({ address }) => address, kind: () => 'mono' },
    { title: 'Connection', text: ({ connection }) => connection, kind: () => 'mono' },
    { title: 'For', number: true, text: ({ since }) => duration((Date.now() - Date.parse(since)) / 1000) },
    {
      title: 'Socket',
      text: ({ stuck }) => (stuck ? 'takes nothing' : 'takes all'),
      kind: ({ stuck }) => (stuck ? 'state bad' : 'state good'),
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
  readonly #asking = repeatedly(
    () => EVERY_MS,
    () => this.#ask(),
  );

  constructor() {
    let calm = 0;
    this.#input.addEventListener('input', () => {
      clearTimeout(calm);
      calm = setTimeout(() => this.#asking.now(), CALM_MS);
    });
    this.#all.addEventListener('click', () =>
      askToDisconnect({ user: this.#input.value.trim() }, () => this.#asking.now()),
    );
    this.element = h(
      'div',
      { class: 'view' },
      h(
        'section',
        { class: 'card', 'aria-labelledby': 'clients-title' },
        h('h2', { id: 'clients-title' }, 'Live connections'),
        h(
          'div',
          { class: 'find' },
          h('label', { for: 'user' }, 'Of the user'),
          h('div', { class: 'row' }, this.#input, this.#all),
        ),
        this.#trouble.element,
        this.#count,
        this.#table.element,
      ),
      revokeForm(),
    );
  }

  show(): void {
    this.#asking.now();
  }

  hide(): void {
    this.#asking.stop();
  }

  async #ask(): Promise<void> {
    const user = this.#input.value.trim();
    try {
      const { clients: found, count, nodes } = await clients(user, LIMIT);
      this.#trouble.asked(nodes);
      fill(this.#count, count === 0 ? '' : `${amount(count)} live, of ${user || 'all users'}; the oldest first.`);
      this.#all.hidden = user === '' || count === 0;
      fill(this.#all, `Disconnect ${user}…`);
      const none = user ? `${user} is not connected.` : 'Nobody is connected.';
      const rest = count > found.length ? `And ${amount(count - found.length)} more: name a user to find theirs.` : '';
      this.#table.show(found, found.length === 0 ? none : rest);
    } catch (error) {
      this.#trouble.failed(error as Error);
    }
  }
}
