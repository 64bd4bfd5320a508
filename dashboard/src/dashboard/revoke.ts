// To end tokens before their time.

import { h } from '../dom';
import { revoke } from './api';
import { confirm } from './confirm';
import { command } from './shell';

const DAY_S = 86_400;
const TIMES = [
  { value: 3600, title: '1 hour' },
  { value: DAY_S, title: '1 day' },
  { value: 7 * DAY_S, title: '7 days' },
  { value: 0, title: '30 days' },
  { value: 366 * DAY_S - 3600, title: 'a year' },
];

/** A form: whose tokens, and how long that holds. */
export function revokeForm(): HTMLElement {
  const what = h(
    'select',
    {},
    h('option', { value: 'user' }, 'all tokens of the user'),
    h('option', { value: 'jti' }, 'the token with the id (jti)'),
  );
  const name = h('input', {
    required: true,
    maxlength: 255,
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
  });
  const time = h(
    'select',
    {},
    ...TIMES.map(({ value, title }) => h('option', { value, selected: value === 0 }, title)),
  );
  const form = h(
    'form',
    { class: 'card revoke', 'aria-labelledby': 'revoke-title' },
    h('h2', { id: 'revoke-title' }, 'Revoke tokens'),
    h(
      'div',
      { class: 'three' },
      h('label', {}, 'Revoke', what),
      h('label', {}, 'Name', name),
      h('label', {}, 'Holds for', time),
    ),
    h('div', { class: 'row' }, h('button', { class: 'danger' }, 'Revoke…')),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    ask(what.value === 'jti', name.value.trim(), Number(time.value));
  });
  return form;
}

function ask(isToken: boolean, name: string, seconds: number): void {
  confirm({
    title: isToken ? `Revoke the token ${name}?` : `Revoke all tokens of ${name}?`,
    will: [
      isToken
        ? 'From now on that token is refused on every node, and its live connections end at once.'
        : 'From now on the tokens that were made until now are refused on every node, and their live connections end at once.',
      isToken
        ? 'It cannot be taken back.'
        : 'It cannot be taken back. Who signs in again gets a new token, and goes on with it: give none to whom you want to keep out.',
    ],
    button: 'Revoke',
    command: () =>
      command(
        'revoke',
        isToken ? '--jti' : '--user',
        name,
        ...(seconds > 0 ? ['--for', `${Math.floor(seconds / 3600)}h`] : []),
      ),
    run: async () => {
      const until = seconds > 0 ? Math.floor(Date.now() / 1000) + seconds : undefined;
      const done = await revoke(isToken ? { jti: name } : { user: name }, until);
      return `Revoked until ${done.until}. ${done.ended} live connections of the node that was asked ended; those of other nodes do so by themselves.`;
    },
  });
}
