// The answer: what to take and why, what it costs, what to paste, and what would change it.

import { copyButton, excerpt } from '../copy';
import { fill, h } from '../dom';
import { say } from '../say';
import { type Advice, NAMES, type Transport } from './advice';
import { CostTable } from './costs';
import { command, type Situation } from './situation';

/** A listener who drags a slider is told when it rests. */
const CALM_MS = 1200;

/** The answer's side of the page. */
export class Answer {
  readonly element: HTMLElement;
  readonly #trouble = h('div', { class: 'notice bad', role: 'alert', hidden: true });
  readonly #title = h('h2', { class: 'verdict', id: 'answer-title' }, 'Asking the node…');
  readonly #ladder = h('ol', { class: 'ladder', 'aria-label': 'Transports, the best first' });
  readonly #reasons = h('dl', { class: 'reasons' });
  readonly #turns = h('ul', { class: 'turns' });
  readonly #turned = h('p', { class: 'quiet' });
  readonly #costs = new CostTable();
  readonly #configuration = excerpt('tidings.toml', 'the namespace, and what a node needs beside it');
  readonly #code = excerpt('In the page', 'with the SDK that the node serves');
  readonly #command = excerpt('On the command line', 'the same answer');
  readonly #take: (situation: Situation) => void;

  constructor(take: (situation: Situation) => void) {
    this.#take = take;
    this.#command.element.classList.add('lines');
    this.element = h(
      'div',
      { class: 'answer', id: 'answer', tabindex: -1, 'aria-busy': 'true' },
      this.#trouble,
      h(
        'section',
        { class: 'card decision', 'aria-labelledby': 'answer-title' },
        h(
          'div',
          { class: 'row between top' },
          this.#title,
          copyButton('to this answer', () => location.href, 'Copy link'),
        ),
        this.#ladder,
        this.#reasons,
      ),
      this.#costs.element,
      h(
        'section',
        { class: 'card', 'aria-labelledby': 'turns-title' },
        h('h2', { id: 'turns-title' }, 'What would change the answer'),
        this.#turned,
        this.#turns,
      ),
      h(
        'section',
        { class: 'card paste', 'aria-labelledby': 'paste-title' },
        h('h2', { id: 'paste-title' }, 'To paste'),
        this.#configuration.element,
        this.#code.element,
        this.#command.element,
      ),
    );
  }

  show(advice: Advice): void {
    const { ladder, delivery, reasons } = advice.decision;
    const best = ladder[0] ?? 'poll';
    this.#trouble.hidden = true;
    this.element.removeAttribute('aria-busy');
    fill(this.#title, headline(ladder, delivery));
    fill(
      this.#ladder,
      ...ladder.map((transport) =>
        h('li', { class: transport }, h('span', { class: `swatch ${transport}` }, NAMES[transport])),
      ),
    );
    const why = { transport: `Why ${NAMES[best]}`, ladder: 'Why more steps', delivery: `Why ${delivery}` };
    fill(
      this.#reasons,
      ...reasons.map(({ of, because }) => h('div', {}, h('dt', {}, why[of]), h('dd', {}, sentences(because)))),
    );
    this.#costs.show(advice);
    this.#showTurns(advice);
    this.#configuration.show(advice.configuration);
    this.#code.show(advice.code);
    this.#command.show(command(advice.situation));
    say(`Advised: ${headline(ladder, delivery)}. ${ladder.map((one) => NAMES[one]).join(', then ')}.`, CALM_MS);
  }

  /** The node is being asked: what is shown is the answer to the last question. */
  wait(): void {
    this.element.setAttribute('aria-busy', 'true');
  }

  /** There is no answer; the last one stays, and is marked as old. */
  fail(why: string, again: () => void): void {
    fill(
      this.#trouble,
      h('p', {}, `There is no answer to this: ${why} What stands below answers the question before.`),
      h('button', { type: 'button', onclick: again }, 'Ask again'),
    );
    this.#trouble.hidden = false;
  }

  #showTurns({ turns }: Advice): void {
    fill(
      this.#turned,
      turns.length > 0 ? 'One answer at a time, given otherwise; press one to take it.' : 'No single answer would.',
    );
    fill(
      this.#turns,
      ...turns.map(({ when, then, situation }) =>
        h(
          'li',
          {},
          h(
            'button',
            { type: 'button', class: 'turn', onclick: () => this.#take(situation) },
            h('span', {}, `if ${when.replace(/\d{4,}/g, (digits) => Number(digits).toLocaleString('en'))}`),
            h('b', {}, inWords(then)),
          ),
        ),
      ),
    );
  }
}

/** The answer in a line. */
export function headline(ladder: Transport[], delivery: string): string {
  const [best, ...below] = ladder;
  if (best === 'poll' && below.length === 0) return `Polling is enough, ${delivery}`;
  return `${NAMES[best ?? 'poll']}, ${delivery}`;
}

/** `ws, at-most-once`, with the names that people say. */
const inWords = (then: string) =>
  then
    .split(', ')
    .map((word) => NAMES[word as Transport] ?? word)
    .join(', ');

/** A reason as sentences, with the names that people say. */
const sentences = (reason: string) =>
  `${reason
    .replace(/\bws\b/g, NAMES.ws)
    .replace(/\bsse\b/g, 'SSE')
    .split('. ')
    .map((text) => text.charAt(0).toUpperCase() + text.slice(1))
    .join('. ')}.`;
