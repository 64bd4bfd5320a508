// Who a client is: tokens, refusals, presence.

import type * as Sdk from '../../src/index.js';
import { type Case, channelName, equal, onEach, put, range, sleep, tokenOf, until, withClient } from './given.js';

export const users: Record<string, Case> = {
  ...onEach('a channel that is refused, beside one that is not', async (given, transport) => {
    const token = await tokenOf(given, { sub: 'bob', subscribe: ['closed:yes-*'] });
    await withClient(given, { transports: [transport], token }, async (client) => {
      const errors: string[] = [];
      const got: unknown[] = [];
      const refused = (name: string, after?: string) =>
        client.channel(name).subscribe({ after, onError: (error) => errors.push((error as Sdk.TidingsError).code) });
      const yes = client.channel(`closed:yes-${crypto.randomUUID()}`);
      await yes.subscribe({ onMessage: ({ data }) => got.push(data) }).ready;
      refused('closed:no');
      refused('nowhere:at-all');
      refused('open:a', 'nonsense');
      await until(
        () => errors.length === 3,
        'three refusals',
        10_000,
        () => errors,
      );
      await put(given, yes.name, 1);
      await until(() => got.length === 1, 'a message of the other');
      equal(errors.sort(), ['bad-cursor', 'forbidden', 'unknown-namespace'], 'codes');
      equal(client.state.state, 'connected', 'the client goes on');
    });
  }),

  ...onEach('a token that ends is replaced in time, and one that is refused at once', async (given, transport) => {
    let made = 0;
    const token = () =>
      tokenOf(given, { sub: 'carol', subscribe: ['closed:*'], publish: ['closed:*'], ttl: made++ === 0 ? -10 : 3 });
    await withClient(given, { transports: [transport], token }, async (client) => {
      const states: string[] = [];
      client.on('state', ({ state }) => states.push(state));
      const channel = client.channel<number>(channelName('closed'));
      const got: number[] = [];
      channel.subscribe({ onMessage: ({ data }) => got.push(data) });
      for (const n of range(1, 40)) {
        await channel.publish(n);
        await sleep(150);
      }
      await until(
        () => got.length === 40,
        'all',
        10_000,
        () => [got, states],
      );
      equal(got, range(1, 40), 'each once');
      if (made < 3) throw new Error(`the token was asked for ${made} times`);
    });
  }),

  'a token that is refused for good closes the client, with the code': async (given) => {
    await withClient(given, { token: 'nonsense' }, async (client) => {
      await until(
        () => client.state.state === 'closed',
        'closed',
        10_000,
        () => client.state,
      );
      equal((client.state.reason as Sdk.TidingsError).code, 'bad-token', 'why');
    });
  },

  ...onEach('presence: who is there, who comes and goes', async (given, transport) => {
    const name = channelName();
    await withClient(given, { transports: [transport] }, async (client) => {
      const changes: Sdk.PresenceChange[] = [];
      await client.channel(name).subscribe({ onPresence: (change) => changes.push(change) }).ready;
      await until(() => client.state.state === 'connected', 'connected');
      const token = await tokenOf(given, { sub: 'dave', info: { name: 'Dave' } });
      await withClient(given, { token, transports: [given.transports[0] as 'ws'] }, async (other) => {
        other.channel(name).subscribe({});
        await until(
          () => changes.at(-1)?.members.some(({ user }) => user === 'dave') === true,
          'dave joins',
          15_000,
          () => changes,
        );
        equal(
          (await other.channel(name).presence()).members.some(({ user }) => user === 'dave'),
          true,
          'asked for',
        );
      });
      await until(
        () => changes.at(-1)?.left.includes('dave') === true,
        'dave leaves',
        25_000,
        () => changes,
      );
    });
  }),
};
