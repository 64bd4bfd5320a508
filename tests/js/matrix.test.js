// A cursor from any transport goes on, on any transport, with nothing lost and nothing twice.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { channelPath, newChannel, numbers, publishNumbers, sleep, subscribePath, until } from './support/node.js';
import { READERS } from './support/readers.js';

const PATHS = {
  'one channel': (channel) => channelPath(channel),
  'several channels, a composite cursor': (channel) => subscribePath(channel, `${channel}-quiet`),
};

for (const [what, pathOf] of Object.entries(PATHS)) {
  describe(`cursors move between transports: ${what}`, { concurrency: 4 }, () => {
    for (const From of READERS) for (const To of READERS) {
      const from = new From(), to = new To();
      test(`${from.name} to ${to.name}`, async () => {
        const channel = newChannel('matrix'), path = pathOf(channel);
        try {
          await from.open(path);
          await publishNumbers(channel, 1, 3);
          await until(() => from.messages.length >= 3 && from.cursor, `three messages and a cursor on ${from.name}`, { instead: () => from.numbers });
          assert.deepEqual(from.numbers, [1, 2, 3]);
          from.close();

          await publishNumbers(channel, 4, 6); // nobody reads
          await to.open(path, from.cursor);
          await publishNumbers(channel, 7, 8);
          await until(() => to.messages.length >= 5, `five messages on ${to.name}`, { instead: () => to.numbers });
          await sleep(50); // a repeat would come now
          assert.deepEqual(to.numbers, numbers(4, 8));
          assert.deepEqual([...from.gaps, ...to.gaps], []);
        } finally {
          from.close();
          to.close();
        }
      });
    }
  });
}
