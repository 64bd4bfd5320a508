// A TCP proxy in front of the node: the network that a test can cut.

import net from 'node:net';
import { NODE } from './node.js';

export class Proxy {
  #port;
  #sockets = new Set();
  #server = null;

  static async start() {
    const proxy = new Proxy();
    await proxy.accept();
    return proxy;
  }

  get url() { return `http://127.0.0.1:${this.#port}`; }

  /** Listens; after a cut, on the port that it had. */
  accept() {
    this.#server = net.createServer((client) => this.#join(client));
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#port ?? 0, '127.0.0.1', () => {
        this.#port = this.#server.address().port;
        resolve();
      });
    });
  }

  /** Breaks every connection in mid-stream; until `accept`, new ones are refused. */
  async cut() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #join(client) {
    const { hostname, port } = new URL(NODE);
    const upstream = net.connect(Number(port), hostname);
    for (const [from, to] of [[client, upstream], [upstream, client]]) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.pipe(to);
      from.on('error', () => {}); // a cut is the purpose
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}
