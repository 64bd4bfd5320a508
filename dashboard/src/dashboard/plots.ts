// The last hour, of all nodes or of one.

import { h } from '../dom';
import { type Line, Plot, type Points } from '../plot';
import { amount, bytes, milliseconds } from '../words';
import type { Cluster, Node } from './cluster';
import { bins, gauge, growth, largest } from './series';
import { type Snapshot, WAYS } from './snapshot';

interface Drawing {
  title: string;
  label: string;
  /** Where its axis ends at least. */
  least: number;
  lines: (Line & { of: (nodes: Node[], times: number[]) => (number | null)[] })[];
}

const number = (value: number) => amount(Math.round(value * 10) / 10);
const grows = (total: (said: Snapshot) => number) => (nodes: Node[], times: number[]) => growth(nodes, times, total);
const failures = (said: Snapshot) => Object.values(said.errors ?? {}).reduce((sum, count) => sum + count, 0);
const COLORS = { session: '--ws', websocket: '--raw-ws', sse: '--sse', 'long-poll': '--long-poll' } as const;

const DRAWINGS: Drawing[] = [
  {
    title: 'Connections',
    label: 'Connections by transport within the last hour',
    least: 4,
    lines: WAYS.map((way) => ({
      label: way,
      color: COLORS[way],
      words: number,
      of: (nodes, times) => gauge(nodes, times, (said) => said.connections[way] ?? 0),
    })),
  },
  {
    title: 'Messages a second',
    label: 'Messages sent and published each second within the last hour',
    least: 4,
    lines: [
      { label: 'sent', color: '--ws', words: number, of: grows((said) => said.messages.out) },
      { label: 'published', color: '--poll', words: number, of: grows((said) => said.messages.in) },
    ],
  },
  {
    title: 'Slow readers',
    label: 'Readers that took nothing for over a second, within the last hour',
    least: 4,
    lines: [
      {
        label: 'readers',
        color: '--long-poll',
        words: number,
        of: (nodes, times) => gauge(nodes, times, (said) => said.behind.readers),
      },
    ],
  },
  {
    title: 'Longest lag',
    label: 'For how long the slowest reader took nothing, within the last hour',
    least: 2000,
    lines: [
      {
        label: 'slowest',
        color: '--long-poll',
        words: milliseconds,
        of: (nodes, times) => largest(nodes, times, (said) => said.behind.longest_ms),
      },
    ],
  },
  {
    title: 'Errors a second',
    label: 'Errors that clients were given each second within the last hour',
    least: 1,
    lines: [
      {
        label: 'errors',
        color: '--bad',
        words: (value) => (value === 0 ? '0' : value.toPrecision(2)),
        of: grows(failures),
      },
    ],
  },
  {
    title: 'Bytes out a second',
    label: 'Bytes sent each second within the last hour',
    least: 1024,
    lines: [{ label: 'out', color: '--sse', words: bytes, of: grows((said) => said.bytes.out) }],
  },
];

const HEIGHT = 150;

/** Six plots on one time. */
export class Plots {
  readonly element: HTMLElement;
  readonly #select = h('select', {}, h('option', { value: '' }, 'all nodes'));
  readonly #plots: { drawing: Drawing; plot: Plot }[];
  readonly #note = h(
    'p',
    { class: 'quiet small', hidden: true },
    'The nodes have just begun to speak: the lines begin within half a minute.',
  );
  #names = '';

  constructor() {
    const homes = DRAWINGS.map(({ title }) => ({ title, home: h('div', {}) }));
    this.element = h(
      'section',
      { class: 'card', 'aria-labelledby': 'plots-title' },
      h(
        'div',
        { class: 'row between' },
        h('h2', { id: 'plots-title' }, 'The last hour'),
        h('label', { class: 'inline' }, 'of', this.#select),
      ),
      h(
        'div',
        { class: 'plots' },
        ...homes.map(({ title, home }) => h('figure', {}, h('figcaption', {}, title), home)),
      ),
    );
    this.#plots = homes.map(({ home }, index) => {
      const drawing = DRAWINGS[index] as Drawing;
      return {
        drawing,
        plot: new Plot(home, { label: drawing.label, height: HEIGHT, least: drawing.least, lines: drawing.lines }),
      };
    });
  }

  /** Draws anew. */
  show(cluster: Cluster, now: number): void {
    const names = [...new Set(cluster.all().map(({ name }) => name))].sort();
    if (names.join('\n') !== this.#names) {
      this.#names = names.join('\n');
      const chosen = this.#select.value;
      this.#select.replaceChildren(
        h('option', { value: '' }, 'all nodes'),
        ...names.map((name) => h('option', { value: name }, name)),
      );
      this.#select.value = names.includes(chosen) ? chosen : '';
    }
    const chosen = this.#select.value;
    const nodes = cluster.all().filter(({ name }) => chosen === '' || name === chosen);
    const times = bins(cluster.time(now), Math.min(...nodes.map(({ samples }) => samples[0]?.at ?? now)));
    const begun = nodes.some(({ samples }) => (samples[0]?.at ?? now) < (times.at(-2) ?? 0) * 1000);
    this.#note.hidden = begun;
    for (const { drawing, plot } of this.#plots) {
      plot.show([times, ...drawing.lines.map(({ of }) => of(nodes, times))] as Points);
    }
  }
}
