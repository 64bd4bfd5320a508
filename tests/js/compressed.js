// A client that offers permessage-deflate, against a node that has it: run by scripts/test-compressed.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import WebSocket from 'ws';
import { NODE, channelPath, newChannel, publish, until } from './support/node.js';

describe('npm ws, compressed', () => {
  test('gets what was published, in fewer bytes', async () => {
    const channel = newChannel('deflate'), got = [];
    const socket = new WebSocket(NODE.replace('http', 'ws') + channelPath(channel), { perMessageDeflate: { threshold: 0 } });
    let bytes = 0, extension;
    socket.on('upgrade', ({ headers, socket: tcp }) => {
      extension = headers['sec-websocket-extensions'];
      bytes = -tcp.bytesRead;
      tcp.on('close', () => { bytes += tcp.bytesRead; });
    });
    socket.on('message', (text) => got.push(JSON.parse(text)));
    try {
      await until(() => got.length === 1, 'the greeting');
      assert.match(extension, /^permessage-deflate; server_no_context_takeover; client_no_context_takeover/);
      const data = Array.from({ length: 500 }, (_, n) => ({ n, text: 'tidings' }));
      await publish(channel, data);
      await publish(channel, 'short');
      // What the client sends is compressed, too.
      socket.send(JSON.stringify({ data, id: 'mine' }));
      await until(() => got.length === 5, 'three messages and an answer', { instead: () => got.length });
      const messages = got.filter((frame) => 'data' in frame).map((frame) => frame.data);
      assert.deepEqual(messages, [data, 'short', data]);
    } finally {
      socket.close();
      await until(() => bytes > 0, 'the end');
    }
    assert.ok(bytes < 10_000, `${bytes} bytes for two messages of 13,000`);
  });
});
