// The cluster at a glance.

import { h } from '../dom';
import type { Cluster } from './cluster';
import { ErrorTable } from './errors-table';
import { NodeTable } from './nodes';
import { Plots } from './plots';
import { Tiles } from './tiles';

/** What has no news is shown anew so often, in milliseconds: time passes for it, too. */
const ANEW_MS = 5000;

export class Overview {
  readonly element: HTMLElement;
  readonly #nodes = new NodeTable();
  /** These go through an hour of words. */
  readonly #parts = [new Tiles(), new Plots(), new ErrorTable()] as const;
  #shown = { version: -1, at: 0 };

  constructor() {
    const [tiles, plots, errors] = this.#parts;
    this.element = h('div', { class: 'view' }, tiles.element, this.#nodes.element, plots.element, errors.element);
    plots.element.addEventListener('change', () => {
      this.#shown.at = 0;
    });
  }

  /** Once a second. */
  show(cluster: Cluster, now: number): void {
    this.#nodes.show(cluster, now);
    if (cluster.version === this.#shown.version && now - this.#shown.at < ANEW_MS) return;
    this.#shown = { version: cluster.version, at: now };
    for (const part of this.#parts) part.show(cluster, now);
  }
}
