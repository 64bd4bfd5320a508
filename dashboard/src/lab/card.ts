// A lane as it is shown.

import { fill, h } from '../dom';
import { amount, bytes, milliseconds } from '../words';
import { overheadOf } from './claims';
import { now } from './clock';
import type { Lab } from './lab';
import type { Lane } from './lane';
import { type Arrival, quantiles } from './tally';
import { health, recovered, TITLES, WAYS } from './words';

const SHOWN = 5;

/** The numbers of a lane, in their order. */
const NUMBERS = [
  ['p99', '99th percentile'],
  ['messages', 'Messages'],
  ['behind', 'Behind'],
  ['lost', 'Lost'],
  ['duplicated', 'Duplicated'],
  ['requests', 'Requests'],
  ['empty', 'Empty answers'],
  ['wire', 'On the wire'],
  ['overhead', 'Overhead each'],
  ['held', 'Connections'],
] as const;
type NumberName = (typeof NUMBERS)[number][0];

export class Card {
  readonly element: HTMLElement;
  readonly #lane: Lane;
  readonly #state = h('p', { class: 'state' });
  readonly #detail = h('p', { class: 'detail quiet' });
  readonly #p50 = h('span', { class: 'p50 number' }, '–');
  readonly #numbers = new Map<NumberName, HTMLElement>();
  readonly #rows: { row: HTMLElement; text: HTMLElement; took: HTMLElement; bar: HTMLElement }[] = [];
  readonly #list: HTMLElement;

  constructor(lane: Lane) {
    this.#lane = lane;
    const title = `lane-${lane.name}`;
    for (let n = 0; n < SHOWN; n++) {
      const [text, took, bar] = [h('span', { class: 'mono' }), h('span', { class: 'mono took' }), h('i', {})];
      this.#rows.push({ row: h('li', {}, text, took, bar), text, took, bar });
    }
    // Not announced: four lanes would read every message aloud four times. What happens to a lane is.
    this.#list = h('ol', { class: 'arrivals', 'aria-label': `Newest messages over ${TITLES[lane.name]}` });
    const numbers = NUMBERS.map(([name, label]) => {
      const value = h('dd', { class: 'number', 'data-number': name }, '–');
      this.#numbers.set(name, value);
      return h('div', {}, h('dt', {}, label), value);
    });
    this.element = h(
      'article',
      { class: 'lane card', 'aria-labelledby': title, 'data-lane': lane.name },
      h('header', {}, h('h3', { id: title }, TITLES[lane.name]), this.#state),
      h('p', { class: 'quiet way' }, WAYS[lane.name]),
      h('p', { class: 'latency' }, this.#p50, h('span', { class: 'quiet' }, ' median, publish → shown')),
      h('dl', {}, ...numbers),
      this.#list,
      this.#detail,
    );
    lane.onArrival = (arrival, caughtUp) => this.#arrived(arrival, caughtUp);
  }

  /** Shows how the lane stands. */
  show(lab: Lab): void {
    const lane = this.#lane;
    const { published } = lab;
    const { kind, word, detail } = health(lane, lab);
    this.element.dataset['state'] = kind;
    this.#state.className = `state ${kind}`;
    write(this.#state, word);
    const past = recovered(lane);
    write(this.#detail, kind === 'bad' || !past ? detail || past : past);
    const measured = quantiles(lane.tally.recent(now()));
    write(this.#p50, measured ? milliseconds(measured.p50) : '–');
    const { total, counts } = lane;
    const extra = overheadOf(counts);
    const behind = Math.max(0, published - lane.tally.highest);
    this.#put('p99', measured ? milliseconds(measured.p99) : '–');
    this.#put('messages', amount(total.messages));
    this.#put('behind', amount(behind));
    this.#put('lost', amount(lane.tally.lost), lane.tally.lost > 0);
    this.#put('duplicated', amount(lane.tally.duplicated), lane.tally.duplicated > 0);
    this.#put('requests', amount(total.requests));
    this.#put('empty', counts.answers > 0 ? `${((counts.empty / counts.answers) * 100).toFixed(0)} %` : '–');
    this.#put('wire', bytes(total.up + total.down));
    this.#put('overhead', extra === undefined ? '–' : bytes(extra));
    this.#put('held', `${lane.held} (${total.opened} opened)`);
  }

  #put(name: NumberName, text: string, isBad = false): void {
    const element = this.#numbers.get(name);
    if (!element) return;
    write(element, text);
    element.classList.toggle('bad', isBad);
  }

  /** The row that was last is first now: no element is made for a message. */
  #arrived({ number, published, at }: Arrival, caughtUp: boolean): void {
    const last = this.#rows.pop();
    if (!last) return;
    this.#rows.unshift(last);
    const ms = Math.max(0, at - published);
    last.text.textContent = `#${number}`;
    last.took.textContent = milliseconds(ms);
    last.row.classList.toggle('late', caughtUp);
    // From 0.1 ms to 100 s, six decades.
    const part = Math.min(1, Math.max(0.02, (Math.log10(Math.max(ms, 0.1)) + 1) / 6));
    last.bar.style.setProperty('--part', part.toFixed(3));
    this.#list.prepend(last.row);
  }
}

/** Writes a text where it is another one: a screen reader is told of nothing that is as it was. */
export function write(element: Element, text: string): void {
  if (element.textContent !== text) fill(element, text);
}
