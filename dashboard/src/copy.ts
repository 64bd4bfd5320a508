// Text to take away.

import { h } from './dom';
import { say } from './say';

/** A button that copies what `text` gives when it is pressed, and says so. */
export function copyButton(what: string, text: () => string, title = 'Copy'): HTMLButtonElement {
  const label = h('span', {}, title);
  let back = 0;
  const show = (short: string, long: string) => {
    label.textContent = short;
    say(long);
    clearTimeout(back);
    back = setTimeout(() => {
      label.textContent = title;
    }, 2000);
  };
  const copy = () =>
    navigator.clipboard.writeText(text()).then(
      () => show('Copied', `Copied: ${what}`),
      () => show('Select it', `${what} could not be copied; select it, and copy it by hand`),
    );
  return h('button', { type: 'button', class: 'copy', onclick: copy, 'aria-label': `${title} (${what})` }, label);
}

/** A text to copy, with its title. */
export function excerpt(title: string, note: string): { element: HTMLElement; show: (text: string) => void } {
  const code = h('code');
  const element = h(
    'section',
    { class: 'excerpt' },
    h(
      'div',
      { class: 'row between' },
      h('h3', {}, title, h('span', { class: 'quiet note' }, note)),
      copyButton(title, () => code.textContent ?? ''),
    ),
    h('pre', { tabindex: 0, 'aria-label': title }, code),
  );
  return {
    element,
    show(text) {
      code.textContent = text;
    },
  };
}
