// The network between a client and the node: an HTTP proxy that a test commands from outside, whatever it runs on.
//
//   POST to `control`, a port of its own:  {"mode"}, {"cut":true}, {"publish":…}, {"token":…}, {"restart":true}: does it
//   GET  /_files/…   what a browser's page loads
//   anything else    goes to the node, as well as the mode lets it

import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import { API_KEY, Node, SECRET } from './node.js';

const FILES = new URL('../../', import.meta.url);
const TYPES = { js: 'text/javascript', html: 'text/html' };

export class Harness {
  #node;
  #server;
  #controls;
  #mode = 'pass';
  #sockets = new Set();
  #cutting;

  static async start() {
    const harness = new Harness();
    harness.#node = await Node.start();
    harness.#server = http.createServer((request, reply) => harness.#serve(request, reply));
    harness.#server.on('upgrade', (request, socket, head) => harness.#upgrade(request, socket, head));
    harness.#server.on('connection', (socket) => {
      harness.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.on('close', () => harness.#sockets.delete(socket));
    });
    harness.#controls = http.createServer(async (request, reply) => {
      const answer = await harness.#command(JSON.parse(await text(request)));
      reply.writeHead(200, { 'Access-Control-Allow-Origin': '*' }).end(JSON.stringify(answer ?? {}));
    });
    harness.#controls.keepAliveTimeout = 60_000;
    for (const server of [harness.#server, harness.#controls])
      await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    return harness;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  get control() {
    return `http://127.0.0.1:${this.#controls.address().port}`;
  }

  /** How many upgraded connections are open to a path. */
  open(path) {
    return [...this.#sockets].filter((socket) => socket.path?.startsWith(path)).length;
  }

  async end() {
    clearInterval(this.#cutting);
    this.#server.close();
    this.#controls.close();
    this.#controls.closeAllConnections();
    this.#cut();
    await this.#node.end();
  }

  async #serve(request, reply) {
    reply.on('error', () => undefined);
    if (request.url.startsWith('/_files/')) return this.#file(request.url.slice(8), reply);
    this.#forward(request, reply);
  }

  async #file(path, reply) {
    const body = await readFile(new URL(path, FILES)).catch(() => null);
    reply.writeHead(body ? 200 : 404, { 'Content-Type': TYPES[path.split('.').pop()] ?? 'text/plain' }).end(body ?? '');
  }

  async #command(command) {
    if (command.mode) this.#setMode(command.mode);
    if (command.cut) this.#cut();
    if (command.token) return { token: token(command.token) };
    if (command.restart) {
      await this.#node.kill();
      this.#cut();
      await this.#node.run();
    }
    if (command.publish)
      return this.#ask(`/v1/channels/${command.publish.channel}${command.publish.query ?? ''}`, command.publish);
    return {};
  }

  /** Publishes past the faults. */
  async #ask(path, { data, id, bytes }) {
    const headers = {
      Authorization: `Bearer ${API_KEY}`,
      'Content-Type': bytes ? 'application/octet-stream' : 'application/json',
      ...(id && { 'Idempotency-Key': id }),
    };
    const reply = await fetch(this.#node.url + path, {
      method: 'POST',
      headers,
      body: bytes ? Uint8Array.from(bytes) : data === undefined ? '' : JSON.stringify(data),
    });
    return reply.json();
  }

  #setMode(mode) {
    this.#mode = mode;
    clearInterval(this.#cutting);
    if (mode === 'cut') this.#cutting = setInterval(() => this.#cut(), 300);
  }

  #cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  #forward(request, reply) {
    const { method, url, headers } = request;
    if (this.#mode === 'hole') return;
    const onward = http.request({ host: '127.0.0.1', port: this.#node.port, method, path: url, headers, agent: false });
    onward.on('error', () => request.socket.destroy());
    const short = this.#mode === 'short' && setTimeout(() => request.socket.destroy(), 700);
    reply.on('close', () => clearTimeout(short));
    reply.on('close', () => onward.destroy());
    request.pipe(onward);
    onward.on('response', (answer) => {
      const held = ['hold', 'short'].includes(this.#mode) ? [] : null;
      const begin = () => reply.headersSent || reply.writeHead(answer.statusCode, answer.headers);
      let size = 0;
      let past = held === null;
      if (past) begin();
      if (past) reply.flushHeaders();
      answer.on('data', (bytes) => {
        if (this.#mode === 'hole') return;
        size += bytes.length;
        if (past) return reply.write(bytes);
        held.push(bytes);
        if (size < 65_536) return;
        past = true;
        begin();
        reply.write(Buffer.concat(held));
      });
      answer.on('end', () => {
        if (!past) begin();
        reply.end(past ? undefined : Buffer.concat(held));
      });
      answer.on('error', () => request.socket.destroy());
    });
  }

  #upgrade(request, socket, head) {
    socket.path = request.url;
    if (['no-upgrade', 'hold', 'short'].includes(this.#mode))
      return socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    if (this.#mode === 'hole') return;
    const onward = net.connect(this.#node.port, '127.0.0.1');
    const lines = [`GET ${request.url} HTTP/1.1`];
    for (let i = 0; i < request.rawHeaders.length; i += 2)
      lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
    onward.setNoDelay(true);
    onward.write(`${lines.join('\r\n')}\r\n\r\n`);
    onward.write(head);
    // In these modes bytes stay where they are; nothing says that the connection is over.
    let begun = false;
    const stays = () => this.#mode === 'hole' || this.#mode === 'freeze' || (this.#mode === 'eat' && begun);
    const held = [];
    const pass = (to) => (bytes) => {
      if (!stays()) {
        for (const [other, old] of held.splice(0)) other.write(old);
        to.write(bytes);
        if (to === socket) begun = true;
      } else if (this.#mode !== 'eat') held.push([to, bytes]);
    };
    const thaw = setInterval(() => {
      if (!stays()) for (const [other, old] of held.splice(0)) other.write(old);
    }, 50);
    socket.on('data', pass(onward));
    onward.on('data', pass(socket));
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ]) {
      one.on('error', () => other.destroy());
      one.on('close', () => {
        clearInterval(thaw);
        other.destroy();
      });
    }
  }
}

async function text(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
}

/** A client's token: `{sub, subscribe, publish, ttl}`. */
function token({ sub, subscribe = [], publish = [], ttl = 3_600, info }) {
  const now = Math.floor(Date.now() / 1_000);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = `${part({ alg: 'HS256' })}.${part({ sub, iat: now, exp: now + ttl, tidings: { subscribe, publish, info } })}`;
  return `${body}.${createHmac('sha256', SECRET).update(body).digest('base64url')}`;
}
