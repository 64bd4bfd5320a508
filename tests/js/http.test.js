// Poll and long-poll with nothing but fetch.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NODE, channelPath, newChannel, publish, publishNumbers, sleep, withQuery } from './support/node.js';

const get = (channel, query = {}, headers = {}) => fetch(NODE + withQuery(channelPath(channel), query), { headers });
const numbersOf = (page) => page.messages.map((message) => message.data.n);

function assertPollAfter(response) {
  const value = response.headers.get('Tidings-Poll-After');
  assert.match(value ?? '', /^\d+(\.\d+)?$/, 'Tidings-Poll-After is a decimal number of seconds');
  return Number(value);
}

describe('poll', () => {
  test('gives what there is, in order, with the guarantee', async () => {
    const channel = newChannel('poll');
    const published = await publish(channel, { n: 1 }, { event: 'first' });
    await publishNumbers(channel, 2, 3);
    const response = await get(channel), page = await response.json();
    assert.equal(response.status, 200);
    assert.deepEqual(numbersOf(page), [1, 2, 3]);
    const [message] = page.messages;
    assert.equal(message.cursor, published.cursor, "the item's cursor is the one of its publisher's reply");
    assert.equal(message.id, published.id);
    assert.equal(message.event, 'first');
    assert.equal(message.channel, channel);
    assert.match(message.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.equal(page.messages[1].event, 'message');
    assert.equal(page.gap, null);
    assert.match(page.delivery, /^at-(most|least)-once/);
    assert.equal(response.headers.get('Tidings-Delivery'), page.delivery);
    assert.match(response.headers.get('Cache-Control'), /no-cache/);
    assertPollAfter(response);
  });

  test('ETag: 304 without a body while nothing is new', async () => {
    const channel = newChannel('etag');
    await publishNumbers(channel, 1, 2);
    const first = await get(channel), page = await first.json(), etag = first.headers.get('ETag');
    assert.equal(etag, `W/"${page.cursor}.2"`);

    const same = await get(channel, {}, { 'If-None-Match': etag });
    assert.equal(same.status, 304, 'the same page again');
    assert.equal(await same.text(), '');
    assert.equal(same.headers.get('ETag'), etag);
    assertPollAfter(same);

    const quiet = await get(channel, { after: page.cursor }, { 'If-None-Match': etag });
    assert.equal(quiet.status, 304, 'an empty page whose cursor is the one of the ETag');
    const quietTag = quiet.headers.get('ETag');

    await publish(channel, { n: 3 });
    const next = await get(channel, { after: page.cursor }, { 'If-None-Match': quietTag });
    assert.equal(next.status, 200);
    assert.deepEqual(numbersOf(await next.json()), [3]);
  });

  test('Tidings-Poll-After is 0 while more is there, and pages join', async () => {
    const channel = newChannel('pages');
    await publishNumbers(channel, 1, 5);
    const got = [];
    let after = 'earliest', more = true;
    while (more) {
      const response = await get(channel, { after, limit: 2 }), page = await response.json();
      got.push(...numbersOf(page));
      after = page.cursor;
      more = assertPollAfter(response) === 0;
    }
    assert.deepEqual(got, [1, 2, 3, 4, 5]);
  });

  test('latest, last and a quiet channel', async () => {
    const channel = newChannel('latest');
    const quiet = await (await get(channel)).json();
    assert.deepEqual(quiet.messages, []);
    await publishNumbers(channel, 1, 4);
    const since = await (await get(channel, { after: quiet.cursor })).json();
    assert.deepEqual(numbersOf(since), [1, 2, 3, 4], 'a cursor from before the first message');
    const latest = await (await get(channel, { after: 'latest' })).json();
    assert.deepEqual(latest.messages, []);
    assert.equal(latest.cursor, since.cursor);
    assert.deepEqual(numbersOf(await (await get(channel, { last: 2 })).json()), [3, 4]);
  });

  test('a refusal is a problem that says what it is', async () => {
    for (const [query, code] of [[{ after: '!' }, 'bad-cursor'], [{ limit: 0 }, 'bad-query'], [{ wait: -1 }, 'bad-query']]) {
      const response = await get(newChannel('bad'), query), problem = await response.json();
      assert.equal(response.status, 400, JSON.stringify(query));
      assert.match(response.headers.get('Content-Type'), /^application\/problem\+json/);
      assert.equal(problem.code, code);
      assert.ok(problem.detail && problem.title && problem.type.endsWith(`#${code}`), JSON.stringify(problem));
    }
    const unknown = await fetch(`${NODE}/v1/channels/undeclared:x`);
    assert.equal(unknown.status, 404);
    assert.equal((await unknown.json()).code, 'unknown-namespace');
  });
});

describe('long-poll', () => {
  test('is held until there is a message', async () => {
    const channel = newChannel('wait');
    const { cursor } = await (await get(channel, { after: 'latest' })).json();
    const began = Date.now();
    const held = get(channel, { after: cursor, wait: 20 });
    await sleep(300);
    await publish(channel, { n: 1 });
    const page = await (await held).json(), took = Date.now() - began;
    assert.deepEqual(numbersOf(page), [1]);
    assert.ok(took >= 280 && took < 5000, `answered after ${took} ms`);
  });

  test('answers at once where there is something, and with an empty page when the time is up', async () => {
    const channel = newChannel('wait');
    await publish(channel, { n: 1 });
    const first = await (await get(channel, { after: 'earliest', wait: 20 })).json();
    assert.deepEqual(numbersOf(first), [1]);

    const began = Date.now();
    const response = await get(channel, { after: first.cursor, wait: 1 }), page = await response.json();
    assert.equal(response.status, 200);
    assert.deepEqual(page.messages, []);
    assert.ok(Date.now() - began >= 900, 'it was held');
    await publish(channel, { n: 2 });
    assert.deepEqual(numbersOf(await (await get(channel, { after: page.cursor, wait: 20 })).json()), [2]);
  });
});
