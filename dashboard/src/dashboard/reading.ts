// What panels have in common: trouble is said where it is, and what a silent node knows is said to be missing.

import { fill, h } from '../dom';
import type { Asked } from './api';

/** A line that says what is wrong with what stands below it. */
export class Trouble {
  readonly element = h('p', { class: 'notice', hidden: true });

  say(words: string): void {
    this.element.hidden = words === '';
    if (this.element.textContent !== words) fill(this.element, words);
  }

  /** Of a question that all nodes were asked. */
  asked({ silent }: Asked): void {
    const names = silent.slice(0, 5).join(', ');
    const rest = silent.length > 5 ? ` and ${silent.length - 5} more` : '';
    this.say(silent.length > 0 ? `${names}${rest} did not answer: what they know is missing here.` : '');
  }

  failed(error: Error): void {
    this.say(`${error.message} What stands below is from before.`);
  }
}

export const clock = (time: string): string => new Date(time).toLocaleTimeString('en-GB');
