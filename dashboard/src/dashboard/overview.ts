// The cluster at a glance.

import { h } from '../dom';
import type { Cluster } from './cluster';
import { ErrorTable } from './errors-table';
import { NodeTable } from './nodes';
import { Plots } from './plots';
import { Tiles } from './tiles';

export class Overview {
  readonly element: HTMLElement;
  readonly #parts = [new Tiles(), new NodeTable(), new Plots(), new ErrorTable()];

  constructor() {
    this.element = h('div', { class: 'view' }, ...this.#parts.map(({ element }) => element));
  }

  show(cluster: Cluster, now: number): void {
    for (const part of this.#parts) part.show(cluster, now);
  }
}
