// What the network and the node do to a reader: each message comes once, in order.

import {
  type Case,
  channelName,
  command,
  equal,
  isOn,
  onEach,
  put,
  range,
  sleep,
  steady,
  until,
  withClient,
} from './given.js';

export const network: Record<string, Case> = {
  ...onEach('cut every 300 ms', (given, transport) =>
    steady(given, { transports: [transport] }, 150, () => command(given, { mode: 'cut' }).then(() => sleep(3_000))),
  ),

  'the ladder, cut every 300 ms': (given) =>
    steady(given, {}, 200, () => command(given, { mode: 'cut' }).then(() => sleep(4_000))),

  'the network freezes for 5 s, without a FIN': (given) =>
    steady(given, {}, 200, async () => {
      await sleep(500);
      await command(given, { mode: 'freeze' });
      await sleep(5_000);
      await command(given, { mode: 'pass' });
    }),

  'upgrades are blocked in mid-stream: down to SSE, and up again without a hole': (given) =>
    steady(given, {}, 800, async (client) => {
      await until(() => isOn(client, given.transports[0] as string), 'connected');
      await command(given, { mode: 'no-upgrade' });
      await command(given, { cut: true });
      await until(
        () => isOn(client, 'sse'),
        'on SSE',
        10_000,
        () => client.state,
      );
      await command(given, { mode: 'pass' });
      await until(
        () => isOn(client, given.transports[0] as string),
        'on the best again',
        30_000,
        () => client.state,
      );
    }),

  'a WebSocket that opens and is eaten': (given) =>
    steady(given, {}, 100, async (client) => {
      await until(() => client.state.state === 'connected', 'connected');
      await command(given, { mode: 'eat' });
      await command(given, { cut: true });
      const isDown = () => client.state.state === 'connected' && client.state.transport !== 'ws';
      await until(isDown, 'on another transport', 40_000, () => client.state);
    }),

  'responses are held back until 64 KB: long-poll': (given) =>
    steady(given, {}, 100, async (client) => {
      await command(given, { mode: 'hold' });
      await command(given, { cut: true });
      await until(
        () => isOn(client, 'long-poll'),
        'on long-poll',
        20_000,
        () => client.state,
      );
    }),

  'only short requests come through: poll': async (given) => {
    await withClient(given, {}, async (client) => {
      const channel = client.channel<number>(channelName());
      const got: unknown[] = [];
      const onGap = () => void got.push('gap');
      await channel.subscribe({ onMessage: ({ data }) => got.push(data), onGap }).ready;
      await command(given, { mode: 'short' });
      await command(given, { cut: true });
      let n = 0;
      // Seldom enough for a long request to be held, and cut.
      for (const end = Date.now() + 40_000; !isOn(client, 'poll') && Date.now() < end; await sleep(3_000)) {
        await put(given, channel.name, ++n);
      }
      // Bun sends a request again by itself when its connection is cut, so long-poll works there.
      if (!('Bun' in globalThis)) equal(client.state.transport, 'poll', 'where it ends');
      await until(
        () => got.length === n,
        'all',
        15_000,
        () => [n, got],
      );
      equal(got, range(1, n), 'each once, in order');
    });
  },

  'the node restarts and has forgotten all: a gap, then what is new': async (given) => {
    await withClient(given, {}, async (client) => {
      const channel = client.channel<number>(channelName());
      const got: unknown[] = [];
      await channel.subscribe({ onMessage: ({ data }) => got.push(data), onGap: ({ why }) => got.push(why) }).ready;
      await channel.publish(1);
      await until(() => got.length === 1, 'the first');
      await command(given, { restart: true });
      await channel.publish(2);
      await until(
        () => got.length === 3,
        'a gap and the second',
        30_000,
        () => got,
      );
      equal(got, [1, 'epoch', 2], 'in this order');
    });
  },
};
