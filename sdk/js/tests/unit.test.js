// The parts that are pure: no network, and time only where it is given.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attempts, backoffMs, covers, grouped, Ladder, reduce, START, TidingsError, told } from '../.tests/parts.js';

const lost = new TidingsError('connection-lost', 'lost');
const at = (...steps) => steps.reduce(reduce, START);
const open = (now) => ({ type: 'open', transport: 'ws', now });
const wait = (now, attempt, ms = 100) => ({ type: 'wait', ms, now, reason: lost, attempt });

test('the state tells what an application is told', () => {
  assert.deepEqual(told(START, 0), { state: 'connecting' });
  assert.deepEqual(told(at({ type: 'try', transport: 'sse' }), 0), { state: 'connecting', transport: 'sse' });
  assert.deepEqual(told(at(open(0)), 0), { state: 'connected', transport: 'ws' });
  assert.deepEqual(told(at(open(0), wait(50, 1)), 80), { state: 'waiting', reason: lost, retryIn: 70 });
  assert.deepEqual(told(at({ type: 'offline' }), 0), { state: 'offline' });
  assert.deepEqual(told(at({ type: 'close', reason: lost }), 0), { state: 'closed', reason: lost });
});

test('closed is for ever', () => {
  const closed = at({ type: 'close' });
  for (const step of [
    { type: 'try', transport: 'ws' },
    open(0),
    wait(0, 1),
    { type: 'offline' },
    { type: 'close', reason: lost },
  ])
    assert.equal(reduce(closed, step), closed);
});

test('failures count up, and are forgotten after a minimum uptime alone', () => {
  const third = at(wait(0, 3), { type: 'try', transport: 'ws' }, open(1_000));
  assert.equal(attempts(third, 5_999, false), 3);
  assert.equal(attempts(third, 5_999, true), 1, 'it brought news');
  assert.equal(attempts(third, 6_000, false), 0);
});

test('backoff: full jitter under a bound that doubles', () => {
  for (const [attempt, most] of [
    [0, 400],
    [1, 800],
    [3, 3_200],
    [6, 20_000],
    [1_000, 20_000],
  ]) {
    assert.equal(
      backoffMs(attempt, () => 1),
      most,
    );
    assert.equal(
      backoffMs(attempt, () => 0),
      0,
    );
  }
});

const cursor = (log, offset) => {
  const raw = Buffer.alloc(24);
  raw.writeBigUInt64BE(BigInt(log), 0);
  raw.writeBigUInt64BE(9n, 8);
  raw.writeBigUInt64BE(BigInt(offset), 16);
  return raw.toString('base64url');
};

test('a place covers what comes before it in the same log, and nothing that it cannot be compared with', () => {
  assert.ok(covers(cursor(1, 5), cursor(1, 5)));
  assert.ok(covers(cursor(1, 5), cursor(1, 4)));
  assert.ok(covers(cursor(1, 2n ** 63n), cursor(1, 2n ** 62n)));
  assert.ok(!covers(cursor(1, 5), cursor(1, 6)));
  assert.ok(!covers(cursor(1, 255), cursor(1, 256)));
  assert.ok(!covers(cursor(1, 5), cursor(2, 4)), 'another log');
  assert.ok(covers('of another form', 'of another form'));
  assert.ok(!covers('of another form', cursor(1, 1)));
  assert.ok(!covers('!'.repeat(32), cursor(1, 1)));
});

const ORDER = ['ws', 'sse', 'long-poll', 'poll'];
const ladder = (order = ORDER) => new Ladder(order, 'http://node', 0);

test('the ladder goes down one by one, and begins again when all have failed', () => {
  const steps = ladder();
  const tried = [];
  for (let name = steps.next(0); name; name = steps.next(0)) {
    tried.push(name);
    steps.failed(name, true);
  }
  assert.deepEqual(tried, ORDER);
  assert.equal(steps.next(0), 'ws', 'nobody is to blame: the node was away');
});

test('who fails is to blame when another one works, for longer each time', () => {
  const steps = ladder();
  steps.failed('ws', false);
  steps.opened('sse', 0);
  assert.deepEqual(steps.better('sse', 0), { name: 'ws', inMs: 15_000 });
  assert.equal(steps.next(0), 'sse');
  assert.equal(steps.next(15_000), 'ws');
  steps.notYet('ws', 15_000);
  assert.deepEqual(steps.better('sse', 15_000), { name: 'ws', inMs: 30_000 });
  steps.forget();
  assert.deepEqual(steps.better('sse', 15_000), { name: 'ws', inMs: 0 });
});

test('three short lives prove a transport bad, one more is enough the next time', () => {
  const steps = ladder();
  for (let i = 0; i < 3; i++) {
    assert.equal(steps.next(0), 'ws');
    steps.opened('ws', 0);
    steps.lost('ws', 300, false, false, 300);
  }
  assert.equal(steps.next(300), 'sse');
  steps.opened('ws', 20_000);
  steps.lost('ws', 300, false, false, 20_300);
  assert.equal(steps.next(20_300), 'sse');
  assert.deepEqual(steps.better('sse', 20_300), { name: 'ws', inMs: 30_000 });
});

test('what has held is tried again before another one is: the node may only have been restarted', () => {
  const steps = ladder();
  steps.opened('ws', 0);
  steps.lost('ws', 6_000, false, false, 6_000);
  assert.ok(steps.failed('ws', true));
  assert.ok(steps.failed('ws', true));
  assert.ok(!steps.failed('ws', true));
  assert.equal(steps.next(6_000), 'sse');
  assert.ok(!ladder().failed('ws', true), 'it never held');
  const eaten = ladder();
  eaten.opened('ws', 0);
  eaten.lost('ws', 6_000, false, false, 6_000);
  assert.ok(!eaten.failed('ws', false), 'a time-out is no restart');
});

test('a transport that is found to be blocked is left at once, and so is one that dies silently twice', () => {
  const steps = ladder();
  steps.opened('sse', 0);
  steps.lost('sse', 100_000, false, true, 100_000);
  steps.failed('ws', true);
  assert.equal(steps.next(100_000), 'long-poll');
  const silent = ladder();
  for (let i = 0; i < 2; i++) silent.lost('ws', 20_000, true, false, 0);
  assert.equal(silent.next(0), 'sse');
});

test('the last one is never left', () => {
  const steps = ladder(['poll']);
  for (let i = 0; i < 5; i++) steps.lost('poll', 10, true, false, 0);
  assert.equal(steps.next(0), 'poll');
});

test('requests hold at most 100 channels, fit a URL, and share no pace', () => {
  const read = (channel, maxRate) => ({
    channel,
    cursor: 'c'.repeat(32),
    version: 1,
    live: 0,
    maxRate,
    conflate: undefined,
    presence: false,
  });
  const sizes = (reads) => grouped(reads).map((group) => group.length);
  assert.deepEqual(sizes(Array.from({ length: 101 }, (_, i) => read(`a:${i}`))), [100, 1]);
  assert.deepEqual(sizes([read('a', 1), read('b'), read('c', 1), read('d')]), [1, 2, 1]);
  for (const group of grouped(Array.from({ length: 90 }, (_, i) => read(`${i}`.padEnd(255, 'x'))))) {
    const query = new URLSearchParams(
      group.flatMap(({ channel, cursor }) => [
        ['channel', channel],
        ['after', cursor],
      ]),
    );
    assert.ok(String(query).length < 16_000);
  }
});
