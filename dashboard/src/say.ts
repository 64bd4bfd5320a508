// What a person who listens is told: one region for the page, which says the last thing and never chatters.

import { h } from './dom';

let region: HTMLElement | undefined;
let waiting = 0;

/** Says `text` after `calm_ms` in which nothing else was to be said. */
export function say(text: string, calm_ms = 100): void {
  if (!region) {
    region = h('p', { class: 'visually-hidden', role: 'status', id: 'said' });
    document.body.append(region);
  }
  const place = region;
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    if (place.textContent !== text) place.textContent = text;
  }, calm_ms);
}
