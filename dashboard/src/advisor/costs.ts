// What each transport would cost: a row a kind of cost, so that four transports fit beside each other on a phone.

import { fill, h } from '../dom';
import { amount, bytes } from '../words';
import { type Advice, type Cost, TRANSPORTS } from './advice';

interface Row {
  title: string;
  value: (cost: Cost) => number;
  words: (value: number, cost: Cost) => string;
}

const ROWS: Row[] = [
  { title: 'Requests/s', value: (cost) => cost.requests_per_s, words: (value) => amount(rounded(value)) },
  {
    title: 'empty',
    value: (cost) => cost.empty,
    words: (value, { requests_per_s }) => (requests_per_s > 0 ? percent(value) : '–'),
  },
  { title: 'Connections', value: (cost) => cost.connections, words: amount },
  { title: 'Out/s', value: (cost) => cost.bytes_out_per_s, words: bytes },
  { title: 'In/s', value: (cost) => cost.bytes_in_per_s, words: bytes },
  { title: 'Memory', value: (cost) => cost.memory_bytes, words: bytes },
  { title: 'Cores', value: (cost) => cost.cores, words: cores },
  { title: 'Nodes', value: (cost) => cost.nodes, words: amount },
  {
    title: 'Late by',
    value: (cost) => cost.age_max_s,
    words: (value) => (value > 0 ? `≤ ${amount(value)} s` : '0 s'),
  },
];

const NOTE =
  'Reading alone, all users together, without publishing, TCP and TLS. Memory is the node’s; the kernel’s socket buffers come on top. Empty: requests that bring nothing. Late: what the transport adds to the way over the network.';

/** The table, which is shown anew for each advice. */
export class CostTable {
  readonly element: HTMLElement;
  readonly #body = h('tbody');
  readonly #head = h('tr');

  constructor() {
    this.element = h(
      'section',
      { class: 'card', 'aria-labelledby': 'costs-title' },
      h('h2', { id: 'costs-title' }, 'What reading costs at this scale'),
      h(
        'div',
        { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Costs of each transport' },
        h('table', { class: 'costs' }, h('thead', {}, this.#head), this.#body),
      ),
      h('p', { class: 'quiet small footnote' }, NOTE),
    );
  }

  show({ costs, decision }: Advice): void {
    const best = decision.ladder[0];
    const mark = (transport: string) => `number${transport === best ? ' advised' : ''}`;
    fill(
      this.#head,
      h('td', {}),
      ...TRANSPORTS.map((transport) =>
        h(
          'th',
          { scope: 'col', class: mark(transport) },
          h('span', { class: `swatch ${transport}` }, transport),
          transport === best && h('small', {}, 'advised'),
        ),
      ),
    );
    fill(
      this.#body,
      ...ROWS.map(({ title, value, words }) => {
        const values = TRANSPORTS.map((transport) => value(costs[transport]));
        const most = Math.max(...values);
        // Where all cost the same, there is nothing to compare.
        const compared = most > Math.min(...values);
        return h(
          'tr',
          {},
          h('th', { scope: 'row' }, title),
          ...TRANSPORTS.map((transport) => {
            const cost = costs[transport];
            const cell = h('td', { class: `${mark(transport)} ${transport}` }, words(value(cost), cost));
            cell.style.setProperty('--share', String(compared ? value(cost) / most : 0));
            return cell;
          }),
        );
      }),
    );
  }
}

const rounded = (value: number) => (value >= 10 ? Math.round(value) : Math.round(value * 10) / 10);
const percent = (share: number) => `${Math.round(share * 100)} %`;

function cores(value: number): string {
  return value < 0.01 ? '< 0.01' : value < 100 ? value.toFixed(2) : amount(value);
}
