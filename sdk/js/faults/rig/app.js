// A page with the SDK and nothing subscribed, for what is not a stream of numbers.

import { randomUUID } from 'node:crypto';
import { FaultProxy } from '../network/proxy.js';
import { API_KEY, Node, token } from './node.js';
import { serve } from './statics.js';

/** A node behind a network, and a page that has the SDK: `Tidings` is in its `window`. */
export class App {
  static async open(browser, { more, broker, dist } = {}) {
    const app = new App();
    app.node = await Node.start({ more, broker });
    app.proxy = await FaultProxy.start(app.node.url);
    app.statics = await serve(dist);
    app.context = await browser.newContext();
    app.page = await app.context.newPage();
    await app.page.goto(`${app.statics.url}/bare.html`);
    await app.page.waitForFunction('window.Tidings', null, { timeout: 10_000 });
    app.channel = `open:${randomUUID().slice(0, 8)}`;
    return app;
  }

  /** Options of a client of this app's page, as JSON. */
  options(more = {}) { return { url: this.proxy.url, token: token('alice'), ...more }; }

  /** Publishes straight to the node; gives the reply. */
  async publish(data, { channel = this.channel, type = 'application/json', query = '', id } = {}) {
    const body = type === 'application/json' ? JSON.stringify(data) : data;
    const headers = { Authorization: `Bearer ${API_KEY}`, 'Content-Type': type, ...(id && { 'Idempotency-Key': id }) };
    const response = await fetch(`${this.node.url}/v1/channels/${channel}${query}`, { method: 'POST', headers, body });
    if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
    return response.json();
  }

  /** All that the channel keeps, read straight from the node. */
  async stored(channel = this.channel) {
    const all = [];
    for (let after = 'earliest'; ;) {
      const page = await (await fetch(`${this.node.url}/v1/channels/${channel}?limit=1000&after=${after}`)).json();
      all.push(...page.messages);
      if (page.messages.length < 1000) return all;
      after = page.cursor;
    }
  }

  async close() {
    await this.context.close();
    await this.proxy.close();
    this.statics.close();
    await this.node.stop();
  }
}
