// Publishing while the network fails.

import type * as Sdk from '../../src/index.js';
import { type Case, channelName, command, equal, range, sleep, withClient } from './given.js';

export const publishing: Record<string, Case> = {
  'publishes over cuts: each stored once, in order': async (given) => {
    await withClient(given, {}, async (client) => {
      const channel = client.channel<number>(channelName());
      await command(given, { mode: 'cut' });
      const answers: Promise<Sdk.Published>[] = [];
      for (const n of range(1, 100)) {
        answers.push(channel.publish(n));
        await sleep(20);
      }
      await command(given, { mode: 'pass' });
      const stored = await Promise.all(answers);
      const { messages } = await channel.history({ limit: 1_000 });
      equal(
        messages.map(({ data }) => data),
        range(1, 100),
        'what is stored',
      );
      equal(
        messages.map(({ cursor }) => cursor),
        stored.map(({ cursor }) => cursor),
        'what was answered',
      );
    });
  },

  'a queue that is full says so, and a publish whose outcome is unknown is not sent again': async (given) => {
    await withClient(given, { queue: 2, dedupe: 4_000 }, async (client) => {
      const channel = client.channel<number>(channelName());
      await channel.publish(0);
      await command(given, { mode: 'hole' });
      await sleep(100);
      const codes = await Promise.all(
        range(1, 3).map((n) =>
          channel.publish(n).then(
            () => 'stored',
            (error) => error.code,
          ),
        ),
      );
      equal(codes.sort(), ['queue-full', 'unknown-outcome', 'unknown-outcome'], 'codes');
      await command(given, { mode: 'pass' });
      await command(given, { cut: true });
      await channel.publish(4);
    });
  },
};
