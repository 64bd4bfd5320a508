// What an application reads: beginnings, fields, gaps, ends, many channels, iteration, pace.

import type * as Sdk from '../../src/index.js';
import { type Case, channelName, equal, onEach, put, range, sleep, until, withClient } from './given.js';

export const reading: Record<string, Case> = {
  ...onEach('from the beginning, the end, the newest and a cursor, several at once', async (given, transport) => {
    await withClient(given, { transports: [transport] }, async (client) => {
      const channel = client.channel<number>(channelName());
      for (const n of range(1, 5)) await channel.publish(n);
      const starts = { earliest: { after: 'earliest' }, last: { last: 2 }, none: { last: 0 }, latest: {} };
      const got: Record<string, number[]> = { earliest: [], last: [], none: [], latest: [], cursor: [] };
      for (const [name, start] of Object.entries(starts)) {
        channel.subscribe({ ...start, onMessage: ({ data }) => got[name]?.push(data) });
        await sleep(30);
      }
      const { cursor } = await channel.publish(6);
      await until(() => got.earliest?.length === 6, 'all six');
      channel.subscribe({ after: cursor, onMessage: ({ data }) => got.cursor?.push(data) });
      for (const n of range(7, 9)) await channel.publish(n);
      await until(
        () => Object.values(got).every((all) => all.at(-1) === 9),
        'the last everywhere',
        20_000,
        () => got,
      );
      equal(
        got,
        { earliest: range(1, 9), last: range(4, 9), none: range(6, 9), latest: range(6, 9), cursor: range(7, 9) },
        'each from its start',
      );
    });
  }),

  ...onEach('fields, text and bytes arrive as they were published', async (given, transport) => {
    await withClient(given, { transports: [transport] }, async (client) => {
      const got: Sdk.Message[] = [];
      const channel = client.channel(channelName());
      channel.subscribe({ onMessage: (message) => got.push(message) });
      await channel.publish('two\nlines, a \u2028 and an €');
      await channel.publish(null, { event: 'nothing', key: 'k', id: 'mine' });
      await channel.publish(Uint8Array.of(0, 255, 10, 13));
      await put(given, channel.name, undefined, { bytes: [1, 2] });
      await until(() => got.length === 4, 'four messages');
      equal(got[0]?.data, 'two\nlines, a \u2028 and an €', 'text');
      equal(
        [got[1]?.data, got[1]?.event, got[1]?.key, got[1]?.id, got[1]?.from],
        [null, 'nothing', 'k', 'mine', 'alice'],
        'fields',
      );
      equal(Array.from(got[2]?.data as Uint8Array), [0, 255, 10, 13], 'bytes');
      equal(Array.from(got[3]?.data as Uint8Array), [1, 2], 'bytes');
    });
  }),

  ...onEach('a gap is told, with what it needs', async (given, transport) => {
    await withClient(given, { transports: [transport] }, async (client) => {
      const channel = client.channel<number>(channelName('brief'));
      const { cursor } = await channel.publish(0);
      for (const n of range(1, 9)) await channel.publish(n);
      const got: unknown[] = [];
      channel.subscribe({
        after: cursor,
        onMessage: ({ data }) => got.push(data),
        onGap: ({ channel, why, missed }) => got.push({ channel, why, missed }),
      });
      await until(
        () => got.length === 6,
        'a gap and five',
        10_000,
        () => got,
      );
      equal(got, [{ channel: channel.name, why: 'expired', missed: 4 }, 5, 6, 7, 8, 9], 'the gap, then what is kept');
    });
  }),

  ...onEach('the end of a channel', async (given, transport) => {
    await withClient(given, { transports: [transport] }, async (client) => {
      const [one, other] = [client.channel<number>(channelName()), client.channel<number>(channelName())];
      const got: unknown[] = [];
      await other.subscribe({ onMessage: ({ data }) => got.push(data) }).ready;
      const subscription = one.subscribe({
        after: 'earliest',
        onMessage: ({ data }) => got.push(data),
        onEnd: ({ channel }) => got.push(channel),
      });
      await one.publish(1);
      await put(given, one.name, 2, { query: '?close' });
      await until(
        () => got.length === 3,
        'two messages and the end',
        10_000,
        () => got,
      );
      equal([got, subscription.closed], [[1, 2, one.name], true], 'the end comes last');
      await one.publish(3).then(
        () => equal(true, false, 'a publish to a closed channel'),
        (error) => equal(error.code, 'channel-closed', 'its code'),
      );
      one.subscribe({ onEnd: () => got.push('again') });
      await other.publish(4);
      await until(
        () => got.length === 5,
        'the other goes on',
        10_000,
        () => got,
      );
    });
  }),

  ...onEach('150 channels', async (given, transport) => {
    await withClient(given, { transports: [transport] }, async (client) => {
      const prefix = channelName();
      const got = new Set<string>();
      const subscriptions = range(1, 150).map((n) =>
        client.channel(`${prefix}-${n}`).subscribe({ onMessage: ({ channel }) => got.add(channel) }),
      );
      await Promise.all(subscriptions.map((one) => one.ready));
      await Promise.all(range(1, 150).map((n) => client.channel(`${prefix}-${n}`).publish(n)));
      await until(
        () => got.size === 150,
        'a message of each',
        20_000,
        () => got.size,
      );
    });
  }),

  'for await: what waits is bounded, and nothing is lost by that': async (given) => {
    await withClient(given, {}, async (client) => {
      const channel = client.channel<number>(channelName());
      await Promise.all(range(1, 60).map((n) => channel.publish(n)));
      const got: number[] = [];
      for await (const { data } of channel.messages({ after: 'earliest', buffer: 4 })) {
        got.push(data);
        if (data < 20) await sleep(5);
        if (data === 60) break;
      }
      equal(got, range(1, 60), 'all, in order');
      const next = channel[Symbol.asyncIterator]().next();
      await sleep(100);
      await channel.publish(61);
      equal((await next).value?.data, 61, 'the next');
    });
  },

  'loadThenFollow: the state, then each change after it': async (given) => {
    await withClient(given, {}, async (client) => {
      const channel = client.channel<number>(channelName());
      const { cursor } = await channel.publish(1);
      await channel.publish(2);
      const got: unknown[] = [];
      const response = () => new Response(JSON.stringify({ sum: 1 }), { headers: { 'Tidings-Cursor': cursor } });
      const following = await channel.loadThenFollow<{ sum: number }>(async () => response(), {
        onSnapshot: ({ sum }) => got.push(`sum ${sum}`),
        onMessage: ({ data }) => got.push(data),
      });
      await channel.publish(3);
      await until(
        () => got.length === 3,
        'the state and two changes',
        10_000,
        () => got,
      );
      equal(got, ['sum 1', 2, 3], 'in order');
      following.unsubscribe();
    });
  },

  'max_rate and conflate go on to the server': async (given) => {
    // Pages set their own pace.
    await withClient(given, { transports: [given.transports[0] as 'ws'] }, async (client) => {
      const channel = client.channel<number>(channelName());
      const got: number[] = [];
      await channel.subscribe({ maxRate: 2, conflate: 'key', onMessage: ({ data }) => got.push(data) }).ready;
      await until(() => client.state.state === 'connected', 'connected');
      await sleep(100);
      for (const n of range(1, 20)) await channel.publish(n, { key: 'k' });
      await until(
        () => got.at(-1) === 20,
        'the newest',
        10_000,
        () => got,
      );
      if (got.length > 5) throw new Error(`${got.length} messages came`);
    });
  },
};
