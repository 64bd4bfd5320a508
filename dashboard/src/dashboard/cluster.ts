// What the nodes have said within the last hour.

import type { Snapshot } from './snapshot';

/** An hour of a node that speaks every 5 seconds, and a little more. */
const SAMPLES_MAX = 760;
/** Nodes that are remembered; of more, those that spoke first are forgotten. */
const NODES_MAX = 64;
const HOUR_MS = 3_600_000;
/** A node that has said nothing for so long is missing, in milliseconds. */
export const STALE_MS = 11_000;
/** And is shown no more. */
const GONE_MS = 300_000;
/** Words of one node that come closer to each other are read from the log, in milliseconds. */
const BURST_MS = 2500;
const STOPPED_MS = 60_000;

/** One start of one node, and what it said. */
export interface Node {
  name: string;
  last: Snapshot;
  /** When it was last heard, by this page's clock, and whether it spoke just then: a log is read faster than it grew. */
  heard: { at: number; live: boolean };
  /** By its own clock, in milliseconds since 1970; the oldest first. */
  samples: { at: number; said: Snapshot }[];
}

/** All nodes. A pure fold over their words. */
export class Cluster {
  readonly #nodes = new Map<string, Node>();
  /** Grows with every word that is new. */
  version = 0;
  /** By how much the clocks of the nodes are behind this page's, and how long a word is on its way, at least. */
  #skew = Number.POSITIVE_INFINITY;

  /** Takes one in, which came at `now`: the next of the log or, by `isNext` false, what a node says when it is asked. */
  add(said: Snapshot, now: number, isNext = true): void {
    const at = Date.parse(said.time);
    this.#skew = Math.min(this.#skew, now - at);
    const id = `${said.node} ${said.incarnation}`;
    const node = this.#nodes.get(id) ?? { name: said.node, last: said, samples: [], heard: { at: now, live: false } };
    this.#nodes.set(id, node);
    if (at > Date.parse(node.last.time)) node.last = said;
    const newest = node.samples.at(-1);
    if (!isNext || (newest && newest.at >= at)) return;
    this.version++;
    node.heard = { at: now, live: now - node.heard.at > BURST_MS };
    node.samples.push({ at, said });
    while (node.samples.length > SAMPLES_MAX || (node.samples[0]?.at ?? at) < at - HOUR_MS) node.samples.shift();
    if (this.#nodes.size > NODES_MAX) {
      const [first] = [...this.#nodes].sort(([, a], [, b]) => Date.parse(a.last.time) - Date.parse(b.last.time));
      if (first) this.#nodes.delete(first[0]);
    }
  }

  /** Now, by the clocks of the nodes. */
  time(now: number): number {
    return Number.isFinite(this.#skew) ? now - this.#skew : now;
  }

  /** How long ago a node spoke, in milliseconds. */
  silence(node: Node, now: number): number {
    const { at, live } = node.heard;
    return Math.max(0, live ? now - at : this.time(now) - Date.parse(node.last.time));
  }

  /** The nodes to show, by name: those that speak, those that went silent lately, and those that just stopped. */
  present(now: number): Node[] {
    return [...this.#nodes.values()]
      .filter((node) => {
        const silence = this.silence(node, now);
        if (node.last.state === 'stopped') return silence < STOPPED_MS;
        return silence < GONE_MS && !this.#successor(node);
      })
      .sort((a, b) => a.name.localeCompare(b.name) || a.last.started.localeCompare(b.last.started));
  }

  /** All, for their history. */
  all(): Node[] {
    return [...this.#nodes.values()];
  }

  /** Those that speak. */
  speaking(now: number): Node[] {
    return this.present(now).filter(
      (node) => node.last.state !== 'stopped' && this.silence(node, now) < STALE_MS + 5000,
    );
  }

  /** Whether a node of this name has started after it. */
  #successor(node: Node): boolean {
    return [...this.#nodes.values()].some(
      (other) => other.name === node.name && other.last.started > node.last.started,
    );
  }
}

/** The increase of a total each second, of a node's last words; 0 for one that has just begun to speak. */
export function rate({ samples }: Node, total: (said: Snapshot) => number): number {
  const newest = samples.at(-1);
  const before = samples.at(-3) ?? samples.at(-2);
  if (!newest || !before || newest === before) return 0;
  return Math.max(0, ((total(newest.said) - total(before.said)) * 1000) / (newest.at - before.at));
}

/** The errors of an hour and of a minute, by code; the most frequent first. */
export function errors(nodes: Node[], time: number): { code: string; hour: number; minute: number; last: number }[] {
  const byCode = new Map<string, { hour: number; minute: number; last: number }>();
  for (const { samples } of nodes) {
    for (let index = 1; index < samples.length; index++) {
      const [before, after] = [samples[index - 1], samples[index]];
      if (!before || !after || after.at < time - HOUR_MS) continue;
      for (const [code, total] of Object.entries(after.said.errors ?? {})) {
        const more = total - (before.said.errors?.[code] ?? 0);
        if (more <= 0) continue;
        const entry = byCode.get(code) ?? { hour: 0, minute: 0, last: 0 };
        entry.hour += more;
        if (after.at > time - 60_000) entry.minute += more;
        entry.last = Math.max(entry.last, after.at);
        byCode.set(code, entry);
      }
    }
  }
  return [...byCode]
    .map(([code, entry]) => ({ code, ...entry }))
    .sort((a, b) => b.hour - a.hour || a.code.localeCompare(b.code));
}
