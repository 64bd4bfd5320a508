// Clients from npm that know nothing of Tidings: `eventsource` and `ws`.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';
import { NODE, channelPath, newChannel, numbers, publish, publishNumbers, until } from './support/node.js';
import { Proxy } from './support/proxy.js';
import { WebSocketReader } from './support/readers.js';

const opened = (source) => new Promise((resolve, reject) => {
  source.addEventListener('open', resolve, { once: true });
  source.addEventListener('error', reject, { once: true });
});

describe('npm eventsource', () => {
  test('gets data and event names as they were published', async () => {
    const channel = newChannel('sse'), got = [];
    const source = new EventSource(NODE + channelPath(channel));
    const keep = ({ type, data, lastEventId }) => got.push({ type, data, lastEventId });
    source.addEventListener('message', keep);
    source.addEventListener('order', keep);
    try {
      await opened(source);
      const json = await publish(channel, { a: [1, 'é'] });
      const string = await publish(channel, 'quoted');
      const text = await publish(channel, 'two\nlines', { type: 'text/plain' });
      const named = await publish(channel, { n: 1 }, { event: 'order' });
      await until(() => got.length >= 4, 'four events', { instead: () => got });
      assert.deepEqual(got, [
        { type: 'message', data: '{"a":[1,"é"]}', lastEventId: json.cursor },
        { type: 'message', data: '"quoted"', lastEventId: string.cursor },
        { type: 'message', data: 'two\nlines', lastEventId: text.cursor },
        { type: 'order', data: '{"n":1}', lastEventId: named.cursor },
      ]);
    } finally {
      source.close();
    }
  });

  // A cut before the first message is a test of browser.test.js: this package forgets an `id:` that
  // came without data, which a browser keeps.
  test('comes back by itself after each cut', async () => {
    const channel = newChannel('sse'), proxy = await Proxy.start(), got = [];
    const source = new EventSource(proxy.url + channelPath(channel));
    source.addEventListener('message', ({ data }) => got.push(JSON.parse(data).n));
    try {
      await opened(source);
      for (const first of [1, 11]) {
        await publishNumbers(channel, first, first + 4);
        await until(() => got.length >= first + 4, 'what was published before the cut', { instead: () => got });
        await proxy.cut();
        await publishNumbers(channel, first + 5, first + 9);
        await proxy.accept();
        await until(() => got.length >= first + 9, 'what was published while cut', { instead: () => got });
      }
      assert.deepEqual(got, numbers(1, 20));
    } finally {
      source.close();
      await proxy.cut();
    }
  });
});

describe('npm ws', () => {
  test('is greeted, reads and publishes', async () => {
    const channel = newChannel('ws'), reader = new WebSocketReader(), replies = [];
    await reader.open(channelPath(channel));
    try {
      const [subscribed] = reader.subscribed.channels;
      assert.equal(subscribed.channel, channel);
      assert.match(subscribed.delivery, /^at-(most|least)-once/);
      assert.ok(reader.subscribed.cursor);
      assert.ok(!('recovered' in reader.subscribed), 'no cursor was given, so nothing was to be recovered');

      reader.socket.on('message', (text) => {
        const frame = JSON.parse(text);
        if (frame.published || frame.error) replies.push(frame);
      });
      reader.socket.send(JSON.stringify({ data: { n: 1 }, event: 'hello', id: 'one' }));
      reader.socket.send('this is not JSON');
      reader.socket.send(JSON.stringify({ data: { n: 2 } }));
      await until(() => replies.length >= 3 && reader.messages.length >= 2, 'three replies and two messages', { instead: () => replies });
      assert.equal(replies[0].published.id, 'one');
      assert.equal(replies[0].published.cursor, reader.messages[0].cursor);
      assert.ok(replies[1].error.code, 'a bad frame is answered, and the connection stays open');
      assert.ok(replies[2].published.cursor);
      assert.deepEqual(reader.messages.map(({ event, id, data }) => [event, id === 'one', data.n]), [['hello', true, 1], ['message', false, 2]]);
    } finally {
      reader.close();
    }
  });

  test('goes on from its last cursor', async () => {
    const channel = newChannel('ws'), path = channelPath(channel);
    const first = new WebSocketReader(), second = new WebSocketReader();
    try {
      await first.open(path);
      await publishNumbers(channel, 1, 3);
      await until(() => first.messages.length >= 3, 'three messages', { instead: () => first.numbers });
      first.close();
      await publishNumbers(channel, 4, 6);
      await second.open(path, first.cursor);
      await until(() => second.messages.length >= 3, 'what was published meanwhile', { instead: () => second.numbers });
      assert.equal(second.subscribed.recovered, true);
      assert.deepEqual(second.numbers, [4, 5, 6]);
    } finally {
      first.close();
      second.close();
    }
  });

  test('a refusal comes before the upgrade, as plain HTTP', async () => {
    const socket = new WebSocket(`${NODE.replace(/^http/, 'ws')}/v1/channels/undeclared:x`);
    const status = await new Promise((resolve, reject) => {
      socket.on('unexpected-response', (request, response) => {
        resolve(response.statusCode);
        request.destroy();
      });
      socket.on('error', reject);
      socket.on('open', () => reject(new Error('it was upgraded')));
    });
    assert.equal(status, 404);
  });
});
