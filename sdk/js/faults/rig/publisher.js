// Publishes numbered messages at a steady rate, straight to the node, each with its own idempotency key.

import http from 'node:http';
import { API_KEY, sleep } from './node.js';

const RETRY_MS = 50;
/** One message may take this long, with all its retries. */
const MESSAGE_MS_MAX = 60_000;

export class Publisher {
  /** When each was acknowledged, by its number, in milliseconds of Date.now(). */
  acknowledged = [];
  /** Publishes that had to be sent again, and those of them that had been stored already. */
  retries = 0;
  duplicates = 0;
  #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

  constructor({ url, channel, count, rate }) {
    Object.assign(this, { url, channel, count, rate });
  }

  /** The last number that is stored. */
  get last() { return this.acknowledged.length - 1; }

  /** Publishes {n} for 1 to `count`, in this order; resolves when all are stored. */
  async run() {
    const began = performance.now();
    this.acknowledged[0] = Date.now();
    for (let n = 1; n <= this.count; n++) {
      const early = began + (n * 1_000) / this.rate - performance.now();
      if (early > 1) await sleep(early);
      await this.#publish(n);
      this.acknowledged[n] = Date.now();
    }
    this.#agent.destroy();
  }

  async #publish(n) {
    const end = Date.now() + MESSAGE_MS_MAX;
    for (;;) {
      const { status, body } = await this.#post(n).catch((error) => ({ status: 0, body: String(error) }));
      if (status === 200) {
        if (JSON.parse(body).duplicate) this.duplicates++;
        return;
      }
      if (status !== 0 && status < 500) throw new Error(`message ${n} was refused: ${status} ${body}`);
      if (Date.now() > end) throw new Error(`message ${n} was not stored within ${MESSAGE_MS_MAX} ms: ${status} ${body}`);
      this.retries++;
      await sleep(RETRY_MS);
    }
  }

  #post(n) {
    const data = JSON.stringify({ n });
    const headers = {
      Authorization: `Bearer ${API_KEY}`, 'Content-Type': 'application/json', 'Content-Length': data.length,
      'Idempotency-Key': `${this.channel}/${n}`,
    };
    return new Promise((resolve, reject) => {
      const request = http.request(`${this.url}/v1/channels/${this.channel}`, { method: 'POST', headers, agent: this.#agent, timeout: 5_000 }, (response) => {
        let body = '';
        response.on('data', (bytes) => { body += bytes; });
        response.on('end', () => resolve({ status: response.statusCode, body }));
        response.on('error', reject);
      });
      request.on('timeout', () => request.destroy(new Error('no answer within 5 s')));
      request.on('error', reject);
      request.end(data);
    });
  }
}
