// What only a real browser shows: its own EventSource with its own reconnect, and its WebSocket.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch, open, skip } from './support/browser.js';
import { NODE, channelPath, newChannel, numbers, publish, publishNumbers, sleep, subscribePath, until } from './support/node.js';
import { Proxy } from './support/proxy.js';

describe('Chromium', { skip }, () => {
  let browser, proxy;
  before(async () => { browser = await launch(); });
  after(() => browser?.close());

  /** A page of the node's own origin, seen through a network that can be cut. */
  async function pageBehindProxy() {
    proxy = await Proxy.start();
    const { page } = await open(browser, `${proxy.url}/?channel=${newChannel('idle')}`);
    // The demo page's own readers rest: a browser has six connections a host.
    await page.waitForFunction(() => document.querySelectorAll('.cut:enabled').length === 4);
    await page.click('#cable');
    return page;
  }

  /** Opens a native EventSource; window.got holds what it delivers. */
  const listen = (page, path) => page.evaluate((path) => new Promise((resolve) => {
    window.got = [];
    window.source = new EventSource(path);
    window.source.onmessage = ({ data }) => window.got.push(JSON.parse(data));
    window.source.addEventListener('tidings.gap', ({ data }) => window.got.push({ gap: data }));
    window.source.onopen = () => resolve();
  }), path);
  const got = (page) => page.evaluate(() => window.got);

  async function cutInMidStream(page, write) {
    const writing = write();
    await until(async () => (await got(page)).length >= 5, 'the first messages');
    await proxy.cut();
    await sleep(1000); // refused meanwhile
    await proxy.accept();
    await writing;
  }

  test('a native EventSource resumes by itself after a cut: nothing lost, nothing twice', async () => {
    const channel = newChannel('eventsource'), page = await pageBehindProxy();
    try {
      await listen(page, channelPath(channel));
      await cutInMidStream(page, () => publishNumbers(channel, 1, 60, 15));
      await until(async () => (await got(page)).length >= 60, 'all messages', { ms: 30_000 });
      await sleep(100); // a repeat would come now
      assert.deepEqual((await got(page)).map((data) => data.n), numbers(1, 60));
    } finally {
      await page.close();
      await proxy.cut();
    }
  });

  test('also where it is cut before its first message', async () => {
    const channel = newChannel('first'), page = await pageBehindProxy();
    try {
      await listen(page, channelPath(channel));
      await sleep(100); // the first block, with the `id:` to come back to, follows the head
      await proxy.cut();
      await publishNumbers(channel, 1, 3);
      await proxy.accept();
      await until(async () => (await got(page)).length >= 3, 'what was published while cut');
      assert.deepEqual((await got(page)).map((data) => data.n), [1, 2, 3]);
    } finally {
      await page.close();
      await proxy.cut();
    }
  });

  test('and so over several channels, with one composite cursor', async () => {
    const a = newChannel('a'), b = newChannel('b'), page = await pageBehindProxy();
    try {
      await listen(page, subscribePath(a, b));
      await cutInMidStream(page, () => Promise.all([publishNumbers(a, 1, 40, 15), publishNumbers(b, 1, 30, 20)]));
      await until(async () => (await got(page)).length >= 70, 'all messages of both', { ms: 30_000 });
      await sleep(100);
      const messages = await got(page);
      const of = (channel) => messages.filter((message) => message.channel === channel).map((message) => message.data.n);
      assert.deepEqual(of(a), numbers(1, 40));
      assert.deepEqual(of(b), numbers(1, 30));
      assert.equal(messages.length, 70);
    } finally {
      await page.close();
      await proxy.cut();
    }
  });

  test('a WebSocket reads, publishes and goes on from its cursor', async () => {
    const channel = newChannel('websocket');
    const { page, complaints } = await open(browser, `${NODE}/?channel=${newChannel('idle')}`);
    /** Reads until there are `count` messages, sending `say` first. */
    const read = (after, count, say) => page.evaluate(([path, count, say]) => new Promise((resolve, reject) => {
      const socket = new WebSocket(new URL(path, location.href.replace('http', 'ws')));
      const seen = { messages: [], published: null, subscribed: null };
      const done = () => seen.messages.length >= count && (!say || seen.published) && (socket.close(), resolve(seen));
      socket.onmessage = ({ data }) => {
        const frame = JSON.parse(data);
        if (frame.subscribed) { seen.subscribed = frame.subscribed; if (say) socket.send(JSON.stringify(say)); }
        if (frame.published) seen.published = frame.published;
        if ('data' in frame) seen.messages.push(frame);
        done();
      };
      socket.onclose = ({ code, reason }) => reject(new Error(`closed: ${code} ${reason}`));
    }), [channelPath(channel) + (after ? `?after=${after}` : ''), count, say]);

    const first = await read(null, 1, { data: { n: 1 }, event: 'hello' });
    assert.equal(first.messages[0].event, 'hello');
    assert.equal(first.published.cursor, first.messages[0].cursor);
    await publishNumbers(channel, 2, 4);
    const second = await read(first.messages[0].cursor, 3);
    assert.equal(second.subscribed.recovered, true);
    assert.deepEqual(second.messages.map((message) => message.data.n), [2, 3, 4]);
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test('an EventSource can read a channel that was published to as text', async () => {
    const channel = newChannel('text');
    const { page } = await open(browser, `${NODE}/?channel=${newChannel('idle')}`);
    const read = page.evaluate((path) => new Promise((resolve) => {
      const source = new EventSource(path);
      source.onopen = () => (window.ready = true);
      source.onmessage = ({ data }) => { source.close(); resolve(data); };
    }), channelPath(channel));
    await page.waitForFunction(() => window.ready);
    await publish(channel, 'first line\nsecond line', { type: 'text/plain' });
    assert.equal(await read, 'first line\nsecond line');
    await page.close();
  });

  test('a native EventSource stops by itself at the end of a closed channel', async () => {
    const channel = newChannel('closed');
    const { page } = await open(browser, `${NODE}/?channel=${newChannel('idle')}`);
    try {
      await listen(page, channelPath(channel));
      await page.evaluate(() => window.source.addEventListener('tidings.end', ({ data }) => window.got.push({ end: JSON.parse(data).channel })));
      await publish(channel, { n: 1 });
      const closed = await fetch(`${NODE}${channelPath(channel)}?close`, { method: 'POST' });
      assert.equal(closed.status, 200);
      // It comes back once, is answered 204, and comes no more.
      await page.waitForFunction(() => window.source.readyState === EventSource.CLOSED, null, { timeout: 15_000 });
      assert.deepEqual(await got(page), [{ n: 1 }, { end: channel }]);
    } finally {
      await page.close();
    }
  });
});
