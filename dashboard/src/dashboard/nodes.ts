// The nodes, a row each: how each is, and how to stop one.

import { h } from '../dom';
import { amount, bytes, duration } from '../words';
import { drain } from './api';
import { type Cluster, type Node, rate, STALE_MS } from './cluster';
import { confirm } from './confirm';
import { command } from './shell';
import { Table } from './table';

interface Shown {
  node: Node;
  silence: number;
  /** By the nodes' clocks. */
  time: number;
}

/** The table of nodes. */
export class NodeTable {
  readonly element: HTMLElement;
  readonly #table = new Table<Shown>('Nodes', ({ node }) => `${node.name} ${node.last.incarnation}`, [
    { title: 'Node', text: ({ node }) => node.name, kind: () => 'strong' },
    { title: 'State', text: state, kind: kind },
    { title: 'Broker', text: broker, kind: ({ node }) => (node.last.broker.ready ? '' : 'state bad') },
    { title: 'Connections', number: true, text: ({ node }) => unless(node, () => amount(node.last.connections.total)) },
    { title: 'Channels', number: true, text: ({ node }) => unless(node, () => amount(node.last.channels)) },
    {
      title: 'In/s',
      number: true,
      text: ({ node }) => unless(node, () => per(rate(node, (said) => said.messages.in))),
    },
    {
      title: 'Out/s',
      number: true,
      text: ({ node }) => unless(node, () => per(rate(node, (said) => said.messages.out))),
    },
    { title: 'Slow', number: true, text: ({ node }) => unless(node, () => amount(node.last.behind.readers)) },
    {
      title: 'Memory',
      number: true,
      text: ({ node }) => unless(node, () => (node.last.memory === null ? '–' : bytes(node.last.memory))),
    },
    {
      title: 'Up for',
      number: true,
      text: ({ node, time }) => duration((time - Date.parse(node.last.started)) / 1000),
    },
    { title: 'Version', text: ({ node }) => node.last.version },
    {
      title: 'Stop it',
      unseen: true,
      when: ({ node }) => node.last.state !== 'stopped' && node.last.state !== 'draining',
      make: (item) =>
        h('button', { type: 'button', class: 'danger slim', onclick: () => askToDrain(item().node) }, 'Drain…'),
    },
  ]);

  constructor() {
    this.element = h(
      'section',
      { class: 'card', 'aria-labelledby': 'nodes-title' },
      h('h2', { id: 'nodes-title' }, 'Nodes'),
      this.#table.element,
    );
  }

  show(cluster: Cluster, now: number): void {
    const time = cluster.time(now);
    const shown = cluster.present(now).map((node) => ({ node, silence: cluster.silence(node, now), time }));
    this.#table.show(shown, shown.length === 0 ? 'No node has spoken yet; each does so every 5 seconds.' : '');
  }
}

const per = (value: number) => amount(value < 10 ? Math.round(value * 10) / 10 : Math.round(value));

/** A node that has stopped has none of it any more. */
const unless = ({ last }: Node, words: () => string) => (last.state === 'stopped' ? '–' : words());

function state({ node, silence }: Shown): string {
  const { state, reason } = node.last;
  if (state === 'stopped') return 'stopped';
  if (silence > STALE_MS) return `no news for ${duration(silence / 1000)}`;
  return reason && state !== 'draining' ? `${state}: ${reason}` : state;
}

function kind({ node, silence }: Shown): string {
  if (node.last.state === 'stopped') return 'state quiet';
  if (silence > STALE_MS) return silence > 20_000 ? 'state bad' : 'state warn';
  return { serving: 'state good', draining: 'state warn', 'not-ready': 'state bad' }[node.last.state] ?? 'state';
}

function broker({ node }: Shown): string {
  const { kind, ready, reason } = node.last.broker;
  return ready ? kind : `${kind}: ${reason ?? 'does not answer'}`;
}

function askToDrain({ name, last }: Node): void {
  confirm({
    title: `Drain ${name}?`,
    will: [
      `It says that it is not ready, takes no new connections, and tells its ${amount(last.connections.total)} clients to come back, each after a delay of its own of 1 to 5 seconds and with its cursor: they go on at another node and miss nothing.`,
      'Then its process ends with 0. What starts it again, if anything does, is what runs it: systemd, Kubernetes, you.',
    ],
    button: 'Drain it',
    command: () => command('drain', name),
    run: async () => {
      await drain(name);
      return `${name} is draining. It says so in the table, and “stopped” as its last word.`;
    },
  });
}
