// All that one scenario happens in: a node, a network, a page or several, and a publisher.

import { randomUUID } from 'node:crypto';
import { FaultProxy } from '../network/proxy.js';
import { judge, pace, words } from './judge.js';
import { Node, sleep, token } from './node.js';
import { Publisher } from './publisher.js';
import { serve } from './statics.js';

/** What comes later than this after all is there may be twice, and is still looked for. */
const AFTERWARDS_MS = 1_500;
/** For all to be there after the last message was published, unless the scenario says otherwise. */
const SETTLE_MS = 30_000;

/** Notes in the page how many locks it holds, before the SDK can ask for one. */
const noteLocks = () => {
  const request = LockManager.prototype.request;
  window.locksHeld = 0;
  LockManager.prototype.request = function (name, ...rest) {
    const callback = rest.pop();
    return request.call(this, name, ...rest, async (lock) => {
      if (lock) window.locksHeld++;
      try {
        return await callback(lock);
      } finally {
        if (lock) window.locksHeld--;
      }
    });
  };
};

export class World {
  pages = [];
  /** When the fault began and ended, of Date.now(). */
  faultAt = null;
  overAt = null;
  /** What pages complained of. */
  complaints = [];
  /** WebSockets and event streams that were open before the fault. */
  connections = null;

  static async make(browser, scenario, { dist, options = {}, machine } = {}) {
    const world = new World();
    Object.assign(world, { scenario, browser, machine });
    world.node = await Node.start({ broker: scenario.broker, more: scenario.more });
    world.proxy = await FaultProxy.start(world.node.url);
    world.statics = await serve(dist);
    world.channel = `${scenario.namespace ?? 'open'}:${randomUUID().slice(0, 8)}`;
    world.context = await browser.newContext();
    await world.context.addInitScript(noteLocks);
    world.options = { ...scenario.options, ...options };
    const { count = 2_000, rate = 200 } = scenario;
    world.publisher = new Publisher({ url: world.node.url, channel: world.channel, count, rate });
    return world;
  }

  /** Opens a page that reads the channel through the proxy. */
  async open() {
    const { transports, after = 'earliest', keep } = this.scenario;
    const config = { url: this.proxy.url, channel: this.channel, transports, after, keep, options: this.options, token: token('alice') };
    const page = await this.context.newPage();
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.name = this.pages.length;
    await page.goto(`${this.statics.url}/?config=${encodeURIComponent(JSON.stringify(config))}`);
    await page.waitForFunction('window.app', null, { timeout: 10_000 });
    this.pages.push(page);
    return page;
  }

  /** The page that holds the most locks: the leader has one more than the others. The first one where none has. */
  async leader() {
    const held = await Promise.all(this.pages.map((page) => page.evaluate('window.locksHeld')));
    return this.pages[held.indexOf(Math.max(...held))];
  }

  /** Waits until the page has connected, or `ms` are over: on some networks that takes its time. */
  async settled(ms = 15_000) {
    await Promise.all(this.pages.map((page) => page.waitForFunction(
      `window.app.report().states.some(({state}) => state === 'connected')`, null, { timeout: ms, polling: 50 },
    ).catch(() => {})));
  }

  fault() {
    this.faultAt ??= Date.now();
    this.connections ??= this.proxy.box.tunnels.size + this.proxy.box.streams.size;
  }

  over() { this.overAt = Date.now(); }

  /** Waits until message n is stored. */
  async published(n) { while (this.publisher.last < Math.min(n, this.publisher.count)) await sleep(5); }

  /** Waits until all pages have as many messages as were published; says whether they have. */
  async #complete(ms) {
    const end = Date.now() + ms;
    for (;;) {
      const counts = await Promise.all(this.pages.map((page) => page.evaluate('window.app.count()').catch(() => 0)));
      if (counts.every((count) => count >= (this.scenario.expected ?? this.publisher.count))) return true;
      if (Date.now() > end) return false;
      await sleep(100);
    }
  }

  /** Runs the scenario; a result for each page that is still there. */
  async run() {
    const { scenario } = this;
    const began = Date.now();
    await scenario.before?.(this);
    for (let i = 0; i < (scenario.pages ?? 1); i++) await this.open();
    if (scenario.settle !== false) await this.settled();
    const publishing = this.publisher.run();
    publishing.catch(() => {}); // it is awaited below
    await scenario.during?.(this);
    await publishing;
    const complete = await this.#complete(scenario.settleMs ?? SETTLE_MS);
    await scenario.finally?.(this);
    if (complete) await sleep(AFTERWARDS_MS);
    const results = [];
    for (const page of this.pages) results.push(this.#result(page.name, await page.evaluate('window.app.report()')));
    return { name: scenario.name, tookMs: Date.now() - began, results, complaints: this.complaints, connections: this.connections, retries: this.publisher.retries };
  }

  #result(page, { deliveries, states, gaps, errors }) {
    const first = this.scenario.after === 'latest' ? (deliveries[0]?.n ?? 1) : 1;
    const verdict = judge(deliveries, first, this.publisher.count);
    const faultAt = this.faultAt ?? this.publisher.acknowledged[0];
    return { page, verdict, words: words(verdict), ...pace(deliveries, this.publisher.acknowledged, faultAt, this.overAt), walked: walked(states), states, gaps, errors, deliveries };
  }

  async close() {
    await this.context.close().catch(() => {});
    await this.proxy.close();
    this.statics.close();
    await this.node.stop();
  }
}

/** The transports that were connected one after the other, with the seconds since the page began. */
export function walked(states) {
  const steps = [];
  for (const { at, state, transport } of states) {
    if (state !== 'connected') continue;
    const last = steps.at(-1);
    if (last?.transport === transport) last.times++;
    else steps.push({ transport, at: at - states[0].at, times: 1 });
  }
  return steps.map(({ transport, at, times }) => `${transport}${times > 1 ? `×${times}` : ''}@${(at / 1_000).toFixed(1)}`).join(' → ') || 'never connected';
}
