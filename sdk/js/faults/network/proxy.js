// A network that a test controls: a wire in front of a middlebox in front of the node.

import { Middlebox } from './middlebox.js';
import { Wire } from './wire.js';

export class FaultProxy {
  /** `url` is that of the node. */
  static async start(url) {
    const { hostname: host, port } = new URL(url);
    const proxy = new FaultProxy();
    proxy.box = await Middlebox.start({ host, port: Number(port) });
    proxy.wire = await Wire.start({ host: '127.0.0.1', port: proxy.box.port });
    return proxy;
  }

  get url() { return `http://127.0.0.1:${this.wire.port}`; }

  async close() {
    await this.wire.close();
    await this.box.close();
  }
}
