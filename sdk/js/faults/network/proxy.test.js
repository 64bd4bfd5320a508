// The faults themselves: a proof under a proxy that does nothing proves nothing.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, beforeEach, afterEach, test } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { FaultProxy } from './proxy.js';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let server;
let proxy;

// `/tick` is a stream that says `tick` each 50 ms, `/slow?ms=N` answers after N, `/big` is 100 KB, then nothing more.
before(async () => {
  server = http.createServer((request, response) => {
    const url = new URL(request.url, 'http://node');
    if (url.pathname === '/tick') {
      response.writeHead(200, { 'Content-Type': 'text/event-stream', Connection: 'close' });
      response.write('first\n');
      const timer = setInterval(() => response.write('tick\n'), 50);
      response.on('close', () => clearInterval(timer));
    } else if (url.pathname === '/big') {
      response.writeHead(200);
      response.write('b'.repeat(100_000));
    } else setTimeout(() => response.end('slow'), Number(url.searchParams.get('ms') ?? 0));
  });
  new WebSocketServer({ server }).on('connection', (socket) => socket.on('message', (data) => socket.send(String(data))));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
after(() => {
  server.close();
  server.closeAllConnections();
});
beforeEach(async () => { proxy = await FaultProxy.start(`http://127.0.0.1:${server.address().port}`); });
afterEach(() => proxy.close());

/** A GET that notes what came, and when. */
function get(path) {
  const seen = { text: '', status: null, began: performance.now(), headAt: null, ended: null, failed: null };
  const request = http.get(proxy.url + path, { agent: false }, (response) => {
    seen.status = response.statusCode;
    seen.headAt = performance.now() - seen.began;
    response.on('data', (bytes) => { seen.text += bytes; });
    response.on('end', () => { seen.ended = performance.now() - seen.began; });
    response.on('error', () => { seen.failed = performance.now() - seen.began; });
  });
  request.on('error', () => { seen.failed = performance.now() - seen.began; });
  seen.stop = () => request.destroy();
  return seen;
}

/** A WebSocket that notes what came. */
function connect() {
  const seen = { open: false, texts: [], closed: false, error: null };
  const socket = new WebSocket(proxy.url.replace('http', 'ws'));
  socket.on('open', () => { seen.open = true; });
  socket.on('message', (data) => seen.texts.push(String(data)));
  socket.on('close', () => { seen.closed = true; });
  socket.on('error', (error) => { seen.error = error.message; });
  seen.send = (text) => socket.send(text);
  seen.stop = () => socket.terminate();
  return seen;
}

test('without a fault all passes at once', async () => {
  const tick = get('/tick');
  const ws = connect();
  await sleep(200);
  ws.send('hi');
  await sleep(100);
  assert.match(tick.text, /^first\ntick\ntick/);
  assert.deepEqual(ws.texts, ['hi']);
  assert.equal(proxy.box.tunnels.size, 1);
  ws.stop();
  tick.stop();
  await sleep(100);
  assert.equal(proxy.wire.connections.size, 0);
  assert.equal(proxy.box.tunnels.size, 0);
});

test('cut breaks all that is open, again and again', async () => {
  const first = get('/tick');
  proxy.wire.cutEvery(150);
  await sleep(250);
  assert.ok(first.failed > 50 && first.failed < 2_000, `failed after ${first.failed} ms`);
  const second = get('/tick');
  await sleep(200);
  assert.ok(second.failed);
  proxy.wire.cutNoMore();
  const third = get('/tick');
  await sleep(300);
  assert.equal(third.failed, null);
  third.stop();
});

test('freeze moves nothing and tells nobody; thaw loses nothing', async () => {
  const tick = get('/tick');
  const ws = connect();
  await sleep(150);
  proxy.wire.freeze();
  const before = tick.text;
  ws.send('in the ice');
  const late = get('/slow');
  await sleep(300);
  assert.equal(tick.text, before);
  assert.equal(tick.failed ?? tick.ended, null);
  assert.deepEqual(ws.texts, []);
  assert.equal(late.status, null);
  assert.equal(late.failed, null);
  proxy.wire.thaw();
  await sleep(150);
  assert.ok(tick.text.length >= before.length + 5 * 5, 'what came meanwhile was kept');
  assert.deepEqual(ws.texts, ['in the ice']);
  assert.equal(late.text, 'slow');
  tick.stop();
  ws.stop();
});

test('what is forgotten in the ice stays silent, and the rest flows', async () => {
  const tick = get('/tick');
  await sleep(120);
  proxy.wire.freeze();
  await sleep(60);
  const before = tick.text;
  proxy.wire.thaw({ forget: true });
  const fresh = get('/slow');
  await sleep(250);
  assert.equal(tick.text, before);
  assert.equal(tick.failed ?? tick.ended, null);
  assert.equal(fresh.text, 'slow');
  tick.stop();
});

test('the end of a connection is not told in the ice', async () => {
  proxy.wire.freeze();
  const slow = get('/slow');
  await sleep(50);
  slow.stop();
  await sleep(100);
  assert.equal(proxy.box.seen.requests, 0);
  proxy.wire.thaw();
  await sleep(100);
  assert.equal(proxy.wire.connections.size, 0);
});

test('refused, and ignored', async () => {
  await proxy.wire.refuse();
  const refused = get('/slow');
  await sleep(100);
  assert.ok(refused.failed);
  await proxy.wire.ignore();
  const ignored = get('/slow');
  await sleep(500);
  assert.equal(ignored.failed ?? ignored.status, null);
  ignored.stop();
  await proxy.wire.accept();
  const heard = get('/slow');
  await sleep(100);
  assert.equal(heard.text, 'slow');
});

test('delay and throttle', async () => {
  proxy.wire.delayMs = 200;
  const late = get('/slow');
  await sleep(300);
  assert.equal(late.status, null);
  await sleep(250);
  assert.equal(late.text, 'slow');
  assert.ok(late.headAt > 390, `a round trip took ${late.headAt} ms`);
  proxy.wire.delayMs = 0;
  proxy.wire.bytesPerSecond = 100_000;
  const big = get('/big');
  await sleep(500);
  assert.ok(big.text.length > 5_000 && big.text.length < 90_000, `${big.text.length} bytes in 0.5 s`);
  big.stop();
});

test('upgrades are refused', async () => {
  proxy.box.upgrades = 'refuse';
  const ws = connect();
  await sleep(150);
  assert.match(ws.error, /403/);
});

test('upgrades are eaten: the 101 passes, and then no byte, either way', async () => {
  proxy.box.upgrades = 'eat';
  const ws = connect();
  await sleep(150);
  assert.ok(ws.open);
  ws.send('hi');
  await sleep(150);
  assert.deepEqual(ws.texts, []);
  assert.equal(ws.closed, false);
  ws.stop();
});

test('upgrades that are never answered', async () => {
  proxy.box.upgrades = 'never';
  const ws = connect();
  await sleep(150);
  assert.equal(ws.open, false);
  assert.equal(ws.error, null);
  ws.stop();
});

test('open WebSockets are cut, or eaten from now on', async () => {
  const cut = connect();
  await sleep(100);
  proxy.box.breakTunnels('cut');
  await sleep(100);
  assert.ok(cut.closed);
  const eaten = connect();
  await sleep(100);
  proxy.box.breakTunnels('eat');
  eaten.send('hi');
  await sleep(100);
  assert.deepEqual(eaten.texts, []);
  assert.equal(eaten.closed, false);
  eaten.stop();
});

test('responses are held back until 64 KB have come, or they are over', async () => {
  proxy.box.holdBytes = 65_536;
  const tick = get('/tick');
  const slow = get('/slow?ms=50');
  const big = get('/big');
  await sleep(300);
  assert.equal(tick.status, null, 'not even the head');
  assert.equal(slow.text, 'slow');
  assert.ok(big.text.length >= 65_536);
  tick.stop();
  big.stop();
});

test('a WebSocket is held back, too', async () => {
  proxy.box.holdBytes = 65_536;
  const ws = connect();
  await sleep(200);
  assert.equal(ws.open, false);
  ws.stop();
});

test('short requests only', async () => {
  proxy.box.wholeWithinMs = 300;
  const tick = get('/tick');
  const quick = get('/slow?ms=100');
  const slow = get('/slow?ms=600');
  const ws = connect();
  await sleep(450);
  assert.equal(quick.text, 'slow');
  assert.equal(slow.status, 504);
  assert.equal(tick.status, 504);
  assert.ok(!tick.text.includes('first'));
  assert.match(ws.error, /403/);
});

test('long responses are cut', async () => {
  proxy.box.cutAfterMs = 300;
  const tick = get('/tick');
  const slow = get('/slow?ms=600');
  await sleep(450);
  assert.match(tick.text, /^first\ntick/);
  assert.ok(tick.failed > 250 && tick.failed < 2_000);
  assert.equal(slow.status, 504);
});

test('a node that is gone is a 502', async () => {
  const gone = await FaultProxy.start('http://127.0.0.1:9');
  const response = await fetch(gone.url).catch((error) => ({ status: String(error) }));
  assert.equal(response.status, 502);
  await gone.close();
});
