// Before something is done to a node or a client, a person is told what will happen.

import { fill, h } from '../dom';
import { say } from '../say';

export interface Act {
  title: string;
  /** What will happen, a paragraph each. */
  will: string[];
  /** The name of the button that does it. */
  button: string;
  /** The same on the command line. */
  command: () => string;
  /** More to be said before it, as a reason. */
  fields?: HTMLElement[];
  /** Does it, and says what was done. */
  run: () => Promise<string>;
}

/** Asks, and does it if a person says so. What came of it stands in the dialog until it is closed. */
export function confirm(act: Act): void {
  const opener = document.activeElement;
  const command = h('code', {}, act.command());
  const result = h('p', { class: 'notice', hidden: true });
  const go = h('button', { type: 'submit', class: 'danger' }, act.button);
  const cancel = h('button', { type: 'button', onclick: () => dialog.close() }, 'Leave it');
  const form = h(
    'form',
    {},
    h('h2', { id: 'confirm-title' }, act.title),
    ...act.will.map((text) => h('p', {}, text)),
    ...(act.fields ?? []),
    h('p', { class: 'quiet command' }, 'On the command line: ', command),
    result,
    h('div', { class: 'row actions' }, cancel, go),
  );
  const dialog = h('dialog', { 'aria-labelledby': 'confirm-title' }, form);
  form.addEventListener('input', () => fill(command, act.command()));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (form.reportValidity()) void run();
  });
  dialog.addEventListener('close', () => {
    dialog.remove();
    if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
  });

  async function run(): Promise<void> {
    go.disabled = true;
    let bad = false;
    const words = await act.run().catch((error: Error) => {
      bad = true;
      return error.message;
    });
    result.hidden = false;
    result.className = bad ? 'notice bad' : 'notice good';
    fill(result, words);
    say(words);
    go.disabled = false;
    if (bad) return;
    go.remove();
    cancel.textContent = 'Close';
    cancel.focus();
  }

  document.body.append(dialog);
  dialog.showModal();
  cancel.focus();
}
