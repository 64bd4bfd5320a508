// A node that is not for development wants to know who looks.

import { fill, h } from '../dom';
import { nodes, type Refused } from './api';
import { key } from './key';

/** Asks for a key until one is good. */
export function signIn(home: HTMLElement, why: Refused | undefined, done: () => void): void {
  const input = h('input', {
    type: 'password',
    id: 'key',
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
    required: true,
    'aria-describedby': 'key-note key-trouble',
  });
  const trouble = h('p', { class: 'notice bad', id: 'key-trouble', role: 'alert', hidden: true });
  const button = h('button', { class: 'primary' }, 'Look');
  const tell = (error: Refused) => {
    trouble.hidden = false;
    fill(trouble, words(error));
  };
  const form = h(
    'form',
    { class: 'card sign-in' },
    h('h2', {}, 'This node wants an API key'),
    h('label', { for: 'key' }, 'An API key with the right administer'),
    h('div', { class: 'row' }, input, button),
    h(
      'p',
      { class: 'quiet small', id: 'key-note' },
      'It stays in this tab until the tab is closed, and goes to this node alone: in a header, never in an address.',
    ),
    trouble,
  );
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    button.disabled = true;
    key.keep(input.value.trim());
    try {
      await nodes();
      done();
    } catch (error) {
      key.forget();
      tell(error as Refused);
      input.select();
      input.focus();
    } finally {
      button.disabled = false;
    }
  });
  fill(home, form);
  if (why && why.code !== 'no-credentials') tell(why);
  input.focus();
}

function words({ status, code, message }: Refused): string {
  if (status === 401) return 'This node does not know that key.';
  if (code === 'forbidden')
    return 'That key may not administer. Give it the right in [auth] api_keys: rights = ["administer", …].';
  return message;
}
