// What clients were refused, by the code that they were given.

import { h } from '../dom';
import { amount } from '../words';
import { type Cluster, errors } from './cluster';
import { Table } from './table';

const ROWS = 20;

export class ErrorTable {
  readonly element: HTMLElement;
  readonly #table = new Table<ReturnType<typeof errors>[number]>('Errors by code', ({ code }) => code, [
    { title: 'Code', text: ({ code }) => code, kind: () => 'mono' },
    {
      title: 'Last minute',
      number: true,
      text: ({ minute }) => amount(minute),
      kind: ({ minute }) => (minute > 0 ? 'warn' : ''),
    },
    { title: 'Last hour', number: true, text: ({ hour }) => amount(hour) },
    { title: 'Last seen', number: true, text: ({ last }) => new Date(last).toLocaleTimeString('en-GB') },
  ]);

  constructor() {
    this.element = h(
      'section',
      { class: 'card', 'aria-labelledby': 'errors-title' },
      h('h2', { id: 'errors-title' }, 'Errors by code'),
      this.#table.element,
    );
  }

  show(cluster: Cluster, now: number): void {
    const all = errors(cluster.all(), cluster.time(now));
    const more = all.length > ROWS ? `And ${all.length - ROWS} more codes.` : '';
    this.#table.show(
      all.slice(0, ROWS),
      all.length === 0 ? 'No client was refused anything within the last hour.' : more,
    );
  }
}
