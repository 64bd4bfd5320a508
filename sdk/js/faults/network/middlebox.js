// What stands between a browser and a node and reads HTTP: a company's proxy, a virus scanner, a load balancer.
//
// Each of its habits is one field, and may change while it runs.

import http from 'node:http';
import net from 'node:net';

/** What a response may hold back before it is passed on whatever the habits say, in bytes. */
const HELD_BYTES_MAX = 16 << 20;

export class Middlebox {
  /** What happens to a WebSocket: 'pass'; 'refuse' is a 403; 'eat' passes the 101 and then no byte; 'never' answers nothing at all. */
  upgrades = 'pass';
  /** Each response comes in pieces of this many bytes, its head with the first; the rest when it is over. 0 is at once. */
  holdBytes = 0;
  /** Only whole responses are passed, and one that is not over by then is a 504. 0 is without bound. */
  wholeWithinMs = 0;
  /** A response that still goes on is broken off; a 504 if nothing of it has come yet. 0 is without bound. */
  cutAfterMs = 0;
  /** How many of each kind came. */
  seen = { requests: 0, upgrades: 0, streams: 0, polls: 0 };
  /** WebSockets, and event streams, that are open now. */
  tunnels = new Set();
  streams = new Set();
  #agent = new http.Agent({ keepAlive: true });
  #server;

  /** `target` is {host, port}. */
  static async start(target) {
    const box = new Middlebox();
    box.target = target;
    box.#server = http.createServer((request, response) => box.#request(request, response));
    box.#server.on('upgrade', (request, socket, head) => box.#upgrade(request, socket, head));
    box.#server.keepAliveTimeout = 60_000;
    await new Promise((resolve, reject) => {
      box.#server.once('error', reject);
      box.#server.listen(0, '127.0.0.1', resolve);
    });
    return box;
  }

  get port() { return this.#server.address().port; }

  #request(request, response) {
    this.seen.requests++;
    if (/text\/event-stream/.test(request.headers.accept ?? '')) {
      this.seen.streams++;
      this.streams.add(response);
      response.on('close', () => this.streams.delete(response));
    } else if (request.method === 'GET') this.seen.polls++;
    const { host, port } = this.target;
    const onward = http.request({ host, port, method: request.method, path: request.url, headers: request.headers, agent: this.#agent });
    const passage = new Passage(this, response, onward);
    onward.on('response', (reply) => passage.begin(reply));
    onward.on('error', () => passage.fail());
    request.on('error', () => onward.destroy());
    response.on('close', () => {
      passage.stop();
      onward.destroy();
    });
    request.pipe(onward);
  }

  #upgrade(request, socket, head) {
    this.seen.upgrades++;
    socket.on('error', () => {});
    if (this.upgrades === 'refuse' || this.wholeWithinMs) {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\nConnection: close\r\n\r\nForbidden');
      return;
    }
    const tunnel = new Tunnel(this, socket, this.upgrades);
    this.tunnels.add(tunnel);
    tunnel.open(request, head, () => this.tunnels.delete(tunnel));
  }

  /** The WebSockets that are open: 'cut' breaks them, 'eat' lets no further byte through. */
  breakTunnels(how) { for (const tunnel of [...this.tunnels]) tunnel.break(how); }

  async close() {
    this.#server.close();
    this.#server.closeAllConnections();
    this.breakTunnels('cut');
    this.#agent.destroy();
  }
}

/** A response on its way, with the habits that held when its request came. */
class Passage {
  #held = [];
  #heldBytes = 0;
  #timers = [];
  #head = null;

  constructor(box, response, onward) {
    this.response = response;
    this.onward = onward;
    this.holdBytes = box.wholeWithinMs ? HELD_BYTES_MAX : box.holdBytes;
    if (box.wholeWithinMs) this.#timers.push(setTimeout(() => this.#giveUp(), box.wholeWithinMs));
    if (box.cutAfterMs) this.#timers.push(setTimeout(() => this.#giveUp(), box.cutAfterMs));
  }

  begin(reply) {
    this.#head = reply;
    if (!this.holdBytes) this.#sendHead();
    reply.on('data', (bytes) => {
      this.#held.push(bytes);
      this.#heldBytes += bytes.length;
      if (this.#heldBytes >= this.holdBytes) this.#release();
    });
    reply.on('end', () => {
      this.stop();
      this.#release();
      this.response.end();
    });
    reply.on('error', () => this.response.destroy());
    // A body without a length ends with its connection; broken off is 'close' without 'end'.
    reply.on('close', () => { if (!reply.complete) this.response.destroy(); });
  }

  #sendHead() {
    if (this.response.headersSent || this.response.destroyed) return;
    const { connection, 'keep-alive': _, 'transfer-encoding': __, ...headers } = this.#head.headers;
    this.response.writeHead(this.#head.statusCode, headers);
    this.response.flushHeaders();
  }

  #release() {
    this.#sendHead();
    for (const bytes of this.#held) this.response.write(bytes);
    this.#held = [];
    this.#heldBytes = 0;
  }

  #giveUp() {
    if (this.response.headersSent) this.response.destroy();
    else this.#status(504, 'Gateway Timeout');
    this.onward.destroy();
  }

  fail() {
    if (this.response.headersSent) this.response.destroy();
    else this.#status(502, 'Bad Gateway');
  }

  #status(status, text) {
    this.stop();
    this.response.writeHead(status, { 'Content-Type': 'text/html' }).end(`<h1>${text}</h1>`);
  }

  stop() { for (const timer of this.#timers) clearTimeout(timer); }
}

/** A WebSocket on its way. */
class Tunnel {
  #eats;
  #held = [];
  #heldBytes = 0;

  constructor(box, client, habit) {
    this.box = box;
    this.client = client;
    this.habit = habit;
    this.#eats = habit === 'never';
  }

  open({ method, url, rawHeaders }, head, closed) {
    const { host, port } = this.box.target;
    this.server = net.connect(port, host, () => {
      let request = `${method} ${url} HTTP/1.1\r\n`;
      for (let i = 0; i < rawHeaders.length; i += 2) request += `${rawHeaders[i]}: ${rawHeaders[i + 1]}\r\n`;
      this.server.write(`${request}\r\n`);
      if (head.length) this.server.write(head);
    });
    this.server.setNoDelay(true);
    this.server.on('error', () => {});
    this.server.on('data', (bytes) => this.#down(bytes));
    this.client.on('data', (bytes) => { if (!this.#eats) this.server.write(bytes); });
    // An end is told, except by one who eats: whoever listens to such a proxy hears nothing.
    this.server.on('close', () => { if (!this.#eats) this.client.destroy(); });
    this.client.on('end', () => this.client.destroy()); // the HTTP server leaves it half open
    this.client.on('close', () => {
      this.server.destroy();
      closed();
    });
  }

  #down(bytes) {
    if (this.#eats) return;
    if (this.habit === 'eat') {
      const end = bytes.indexOf('\r\n\r\n');
      this.client.write(end < 0 ? bytes : bytes.subarray(0, end + 4));
      this.#eats = end >= 0;
      return;
    }
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes < this.box.holdBytes) return;
    for (const piece of this.#held) this.client.write(piece);
    this.#held = [];
    this.#heldBytes = 0;
  }

  break(how) {
    if (how === 'eat') {
      this.#eats = true;
      return;
    }
    this.client.resetAndDestroy?.();
    this.server?.destroy();
    this.box.tunnels.delete(this);
  }
}
