// What counts now, in large numbers.

import { h } from '../dom';
import { amount, bytes, counted, milliseconds } from '../words';
import { type Cluster, errors, rate } from './cluster';

interface Tile {
  title: string;
  value: string;
  note: string;
  kind?: 'warn' | 'bad' | false;
}

/** A row of numbers. Not announced: they change every few seconds, and can be read at any time. */
export class Tiles {
  readonly element = h('dl', { class: 'tiles' });
  readonly #made = new Map<string, { value: HTMLElement; note: HTMLElement }>();

  show(cluster: Cluster, now: number): void {
    // Where nobody speaks, what was said last stands; the head of the page says how old it is.
    if (this.#made.size > 0 && cluster.speaking(now).length === 0) return;
    for (const { title, value, note, kind } of tiles(cluster, now)) {
      const tile = this.#made.get(title) ?? this.#make(title);
      if (tile.value.textContent !== value) tile.value.textContent = value;
      if (tile.note.textContent !== note) tile.note.textContent = note;
      tile.value.className = `value number ${kind || ''}`;
    }
  }

  #make(title: string) {
    const value = h('span', { class: 'value number' });
    const note = h('span', { class: 'quiet small' });
    this.element.append(h('div', {}, h('dt', {}, title), h('dd', {}, value, note)));
    this.#made.set(title, { value, note });
    return { value, note };
  }
}

function tiles(cluster: Cluster, now: number): Tile[] {
  const nodes = cluster.speaking(now);
  const sum = (value: (node: (typeof nodes)[number]) => number) =>
    nodes.reduce((before, node) => before + value(node), 0);
  const total = sum(({ last }) => last.connections.total);
  const max = sum(({ last }) => last.connections.max ?? 0);
  const behind = sum(({ last }) => last.behind.readers);
  const longest = Math.max(0, ...nodes.map(({ last }) => last.behind.longest_ms));
  const failed = errors(nodes, cluster.time(now)).reduce((before, { minute }) => before + minute, 0);
  const away = nodes.filter(({ last }) => !last.broker.ready).length;
  return [
    { title: 'Connections', value: amount(total), note: max > 0 ? `of ${amount(max)}` : 'no limit' },
    {
      title: 'Sent',
      value: `${amount(tenth(sum((node) => rate(node, (said) => said.messages.out))))}/s`,
      note: `${bytes(sum((node) => rate(node, (said) => said.bytes.out)))}/s`,
    },
    {
      title: 'Published',
      value: `${amount(tenth(sum((node) => rate(node, (said) => said.messages.in))))}/s`,
      note: `in ${nodes.length > 1 ? '≥ ' : ''}${counted(Math.max(0, ...nodes.map(({ last }) => last.channels)), 'live channel')}`,
    },
    {
      title: 'Slow readers',
      value: amount(behind),
      note: behind > 0 ? `the slowest takes nothing for ${milliseconds(longest)}` : 'nobody lags',
      kind: behind > 0 && 'warn',
    },
    { title: 'Errors', value: amount(failed), note: 'within a minute', kind: failed > 0 && 'warn' },
    {
      title: 'Nodes',
      value: amount(nodes.length),
      note:
        away > 0
          ? `${away} without the broker`
          : counted(
              sum(({ last }) => last.readers),
              'reader',
            ),
      kind: away > 0 && 'bad',
    },
  ];
}

const tenth = (value: number) => (value < 10 ? Math.round(value * 10) / 10 : Math.round(value));
