// To publish into a channel, and then to see who gets it.

import { fill, h } from '../dom';
import { say } from '../say';
import { publish } from './api';
import type { Followed } from './reader-table';

/** `onPublished` is called with what was stored. */
export function publishForm(channel: string, onPublished: (message: Followed) => void): HTMLElement {
  const data = h('textarea', { rows: 2, spellcheck: 'false', required: true, id: 'publish-data' });
  const as = h('select', {}, h('option', { value: 'text' }, 'text'), h('option', { value: 'json' }, 'JSON'));
  const event = h('input', { placeholder: 'message', autocomplete: 'off', spellcheck: 'false', maxlength: 128 });
  const key = h('input', { placeholder: 'none', autocomplete: 'off', spellcheck: 'false', maxlength: 255 });
  const result = h('p', { class: 'result small' });
  const button = h('button', { class: 'primary' }, 'Publish');
  const form = h(
    'form',
    { class: 'card publish', 'aria-label': 'Publish' },
    h('h3', {}, 'Publish'),
    h('label', {}, 'Data', data),
    h('div', { class: 'three' }, h('label', {}, 'As', as), h('label', {}, 'Event', event), h('label', {}, 'Key', key)),
    h('div', { class: 'row' }, button, result),
  );
  const tell = (words: string, kind: string) => {
    fill(result, words);
    result.className = `result small ${kind}`;
    say(words);
  };
  form.addEventListener('submit', async (submitted) => {
    submitted.preventDefault();
    button.disabled = true;
    try {
      const stored = await publish(channel, data.value, {
        json: as.value === 'json',
        event: event.value.trim(),
        key: key.value.trim(),
      });
      const time = new Date().toLocaleTimeString('en-GB');
      tell(`Stored at ${time}.`, 'good');
      onPublished({ cursor: stored.cursor, title: `the message of ${time}` });
    } catch (error) {
      tell((error as Error).message, 'bad');
    } finally {
      button.disabled = false;
    }
  });
  return form;
}
