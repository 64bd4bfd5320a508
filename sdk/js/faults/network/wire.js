// The wire between a client and a server: TCP, which a test can cut, freeze, slow down and take away.
//
// It knows nothing of HTTP; middlebox.js does.

import { spawn } from 'node:child_process';
import net from 'node:net';

/** What one direction holds at most before it reads no more from its sender, in bytes. */
const HELD_BYTES_MAX = 1 << 20;

/** In what a throttled wire moves, in bytes. */
const PIECE_BYTES = 1_460;

// A listener whose backlog is full: Linux then answers no SYN. Node cannot listen without accepting.
const DEAF = `
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
deaf = socket.socket()
deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
deaf.bind((host, port))
deaf.listen(0)
fill = []
for _ in range(4):
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex((host, port))
    fill.append(one)
print("deaf", flush=True)
sys.stdin.read()
`;

/** One direction of a connection. Bytes, and the end, leave in the order in which they came. */
class Lane {
  #held = []; // {due, bytes}, bytes null for the end
  #heldBytes = 0;
  #free = 0; // when the last byte that was let through has left a throttled wire
  #timer = null;

  constructor(wire, connection, from, to) {
    Object.assign(this, { wire, connection, from, to });
    from.on('data', (bytes) => this.#take(bytes));
    from.on('end', () => this.#take(null));
    from.on('error', () => {}); // breaking is the purpose
    from.on('close', () => this.#take(null));
  }

  #take(bytes) {
    if (bytes && this.wire.bytesPerSecond && bytes.length > PIECE_BYTES) {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) this.#take(bytes.subarray(at, at + PIECE_BYTES));
      return;
    }
    const length = bytes?.length ?? 0;
    const { delayMs, bytesPerSecond } = this.wire;
    const now = performance.now();
    if (bytesPerSecond) this.#free = Math.max(this.#free, now) + (length / bytesPerSecond) * 1000;
    this.#held.push({ due: (bytesPerSecond ? this.#free : now) + delayMs, bytes });
    this.#heldBytes += length;
    if (this.#heldBytes > HELD_BYTES_MAX) this.from.pause();
    this.flow();
  }

  /** Passes on what is due, unless nothing moves. */
  flow() {
    clearTimeout(this.#timer);
    while (this.#held.length && !this.connection.silent) {
      const wait = this.#held[0].due - performance.now();
      if (wait > 0.5) {
        this.#timer = setTimeout(() => this.flow(), wait);
        return;
      }
      const { bytes } = this.#held.shift();
      if (bytes === null) {
        this.to.end();
        continue;
      }
      this.#heldBytes -= bytes.length;
      this.wire.bytes += bytes.length;
      if (!this.to.destroyed) this.to.write(bytes);
    }
    if (this.#heldBytes <= HELD_BYTES_MAX) this.from.resume();
  }

  stop() { clearTimeout(this.#timer); }
}

class Connection {
  /** Nothing of it will ever move again, and nobody is told: a router forgot it. */
  forgotten = false;

  constructor(wire, client) {
    this.wire = wire;
    this.client = client;
    this.server = net.connect({ ...wire.target, allowHalfOpen: true });
    for (const socket of [client, this.server]) socket.setNoDelay(true);
    this.lanes = [new Lane(wire, this, client, this.server), new Lane(wire, this, this.server, client)];
    const gone = () => client.destroyed && this.server.destroyed && wire.connections.delete(this);
    client.on('close', gone);
    this.server.on('close', gone);
    this.server.on('error', () => { if (!this.silent) client.destroy(); });
  }

  get silent() { return this.forgotten || this.wire.frozen; }
  flow() { for (const lane of this.lanes) lane.flow(); }

  cut() {
    for (const lane of this.lanes) lane.stop();
    for (const socket of [this.client, this.server]) socket.resetAndDestroy();
    this.wire.connections.delete(this);
  }
}

export class Wire {
  connections = new Set();
  /** Connections that ever came. */
  accepted = 0;
  /** Bytes that were passed on, both ways. */
  bytes = 0;
  frozen = false;
  /** Of each byte, on its way. */
  delayMs = 0;
  /** Of each direction of each connection; 0 is without bound. */
  bytesPerSecond = 0;
  #server = null;
  #port = 0;
  #cutting = null;
  #deaf = null;

  /** `target` is {host, port}. */
  static async start(target) {
    const wire = new Wire();
    wire.target = target;
    await wire.accept();
    return wire;
  }

  get port() { return this.#port; }

  /** Listens; after `refuse`, on the port that it had. */
  async accept() {
    if (this.#server) return;
    if (this.#deaf) await this.#hear();
    this.#server = net.createServer({ allowHalfOpen: true }, (client) => {
      this.accepted++;
      this.connections.add(new Connection(this, client));
    });
    await new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#port, '127.0.0.1', resolve);
    });
    this.#port = this.#server.address().port;
  }

  /** New connections are refused; those that are there go on. */
  async refuse() {
    this.#server?.close();
    this.#server = null;
  }

  /** No SYN is answered, until `accept`. Those that are there go on. */
  async ignore() {
    await this.refuse();
    this.#deaf = spawn('python3', ['-c', DEAF, '127.0.0.1', String(this.#port)], { stdio: ['pipe', 'pipe', 'inherit'] });
    await new Promise((resolve, reject) => {
      this.#deaf.stdout.once('data', resolve);
      this.#deaf.once('exit', () => reject(new Error('the deaf listener ended at once; is python3 there?')));
    });
  }

  async #hear() {
    const over = new Promise((resolve) => this.#deaf.once('exit', resolve));
    this.#deaf.kill('SIGKILL');
    this.#deaf = null;
    await over;
  }

  /** Breaks every connection with a reset. */
  cut() { for (const connection of [...this.connections]) connection.cut(); }

  /** Does so every `ms`, until `cutNoMore`. */
  cutEvery(ms) {
    this.cutNoMore();
    this.#cutting = setInterval(() => this.cut(), ms);
  }

  cutNoMore() { clearInterval(this.#cutting); }

  /** Nothing moves, and nobody is told: not bytes, not the end of a connection. New connections are accepted. */
  freeze() { this.frozen = true; }

  /** Lets all move again, or all but the connections that were there: `forget`. */
  thaw({ forget = false } = {}) {
    for (const connection of this.connections) connection.forgotten ||= forget;
    this.frozen = false;
    for (const connection of this.connections) connection.flow();
  }

  async close() {
    this.cutNoMore();
    await this.refuse();
    if (this.#deaf) await this.#hear();
    this.cut();
  }
}
