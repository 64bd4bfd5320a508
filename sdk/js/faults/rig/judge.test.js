import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge, pace, words } from './judge.js';

const came = (...numbers) => numbers.map((n, i) => ({ n, at: i }));

test('each once and in order is good', () => {
  assert.ok(judge(came(1, 2, 3), 1, 3).good);
  assert.equal(words(judge(came(1, 2, 3), 1, 3)), 'each once, in order');
});

test('what is lost, twice, out of order or strange is named', () => {
  assert.deepEqual(judge(came(1, 3), 1, 3).lost, [2]);
  assert.deepEqual(judge(came(1, 2), 1, 3).lost, [3]);
  assert.deepEqual(judge(came(1, 2, 2, 3), 1, 3).twice, [2]);
  assert.deepEqual(judge(came(1, 3, 2), 1, 3).early, [2]);
  assert.deepEqual(judge(came(0, 1, 2), 1, 2).strange, [0]);
  assert.equal(words(judge(came(1, 1, 4, 3), 1, 4)), 'lost: 2; twice: 1; out of order: 3');
  assert.ok(!judge([], 1, 1).good);
});

test('one that comes again later is twice, and not out of order', () => {
  const verdict = judge(came(1, 2, 3, 1), 1, 3);
  assert.deepEqual([verdict.twice, verdict.early], [[1], []]);
});

test('the time to recover is to the first message, and to the first in time', () => {
  const deliveries = [{ n: 1, at: 100 }, { n: 2, at: 3_000 }, { n: 3, at: 3_100 }];
  const { firstMs, caughtUpMs, silenceMs } = pace(deliveries, [0, 90, 200, 3_050], 500, 1_000);
  assert.deepEqual([firstMs, caughtUpMs, silenceMs], [2_000, 2_100, 2_900]);
  assert.equal(pace(deliveries, [0, 90, 200, 3_050], 500, null).firstMs, 2_900);
});
