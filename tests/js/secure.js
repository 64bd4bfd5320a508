// A real browser over https: HTTP/2 for streams, HTTP/1.1 for WebSockets. Run by scripts/test-secure.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch, open, skip } from './support/browser.js';
import { NODE, channelPath, newChannel, until } from './support/node.js';

describe('Chromium over https', { skip }, () => {
  let browser;
  before(async () => { browser = await launch(); });
  after(() => browser?.close());

  test('twenty event streams share a connection, and a WebSocket reads beside them', async () => {
    const channels = Array.from({ length: 20 }, (_, n) => newChannel(`secure${n}`));
    // The certificate is made for the occasion, and nobody trusts it.
    const { page } = await open(browser, `${NODE}/?channel=${newChannel('idle')}`, { ignoreHTTPSErrors: true });
    try {
      const opened = page.evaluate(async (paths) => {
        window.got = [];
        const sources = paths.map((path) => new Promise((resolve) => {
          const source = new EventSource(path);
          source.onopen = resolve;
          source.onmessage = ({ data }) => window.got.push(JSON.parse(data).n);
        }));
        const socket = new WebSocket(new URL(paths[0], location.href.replace('https', 'wss')));
        socket.onmessage = ({ data }) => { window.socket = JSON.parse(data); };
        await Promise.all([...sources, new Promise((resolve) => { socket.onopen = resolve; })]);
      }, channels.map(channelPath));
      // Over HTTP/1.1 a browser opens six connections to a host, and the seventh stream would wait for ever.
      await Promise.race([opened, new Promise((_, reject) => setTimeout(reject, 15_000, new Error('not all streams opened')))]);
      const statuses = await page.evaluate((paths) => Promise.all(paths.map(async (path, n) => {
        const headers = { 'Content-Type': 'application/json' };
        return (await fetch(path, { method: 'POST', headers, body: JSON.stringify({ n }) })).status;
      })), channels.map(channelPath));
      assert.deepEqual(new Set(statuses), new Set([200]));
      await until(async () => (await page.evaluate(() => window.got.length)) === 20, 'a message on each stream');
      assert.deepEqual((await page.evaluate(() => window.got)).sort((a, b) => a - b), channels.map((_, n) => n));
      await until(async () => (await page.evaluate(() => window.socket?.data?.n)) === 0, 'the message on the WebSocket');
      const protocols = await page.evaluate(() => performance.getEntriesByType('resource').map((entry) => entry.nextHopProtocol));
      assert.deepEqual([...new Set(protocols)], ['h2']);
    } finally {
      await page.close();
    }
  });

  test('the page shows one channel on all four transports', async () => {
    const { page, complaints } = await open(browser, `${NODE}/?channel=${newChannel('page')}`, { ignoreHTTPSErrors: true });
    try {
      await page.waitForFunction(() => document.querySelectorAll('.cut:enabled').length === 4);
      assert.deepEqual(complaints, []);
    } finally {
      await page.close();
    }
  });
});
