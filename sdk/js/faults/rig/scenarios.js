// What happens to the network, the node and the page while numbered messages are published, 2,000 of them.
//
// A scenario is data: `before` sets the stage before the page opens, `during` plays while messages are
// published, `finally` runs when all is there. `quick` ones are the everyday test. `walks` is what the
// ladder must have come to in the end, as a pattern of the transports that were connected.

import { strict as assert } from 'node:assert';
import { sleep } from './node.js';

/** Waits until this part of all messages, of 1, is stored. */
const part = (world, of) => world.published(Math.round(of * world.publisher.count));
const begin = (world) => part(world, 0.15);

/** Freezes the wire for `ms` once some messages are through. */
const frozenFor = (ms, thaw) => async (world) => {
  await begin(world);
  world.fault();
  world.proxy.wire.freeze();
  await sleep(ms);
  world.proxy.wire.thaw(thaw);
  world.over();
};

/**
 * Nothing of a page runs until the returned function is called, as where a browser freezes it. (It freezes hidden
 * pages only, and a headless browser has none; a debugger stops any.)
 */
async function stop(world, page) {
  const cdp = await world.context.newCDPSession(page);
  await cdp.send('Debugger.enable');
  const stopped = new Promise((resolve) => cdp.once('Debugger.paused', resolve));
  await cdp.send('Debugger.pause');
  await stopped;
  return () => cdp.send('Debugger.resume');
}

const fromTheStart = (habits) => (world) => {
  Object.assign(world.proxy.box, habits);
  world.fault();
};

export const SCENARIOS = [
  { name: 'calm', quick: true, during() {} },
  {
    name: 'cut every 300 ms', quick: true, settleMs: 60_000,
    async during(world) {
      await begin(world);
      world.fault();
      world.proxy.wire.cutEvery(300);
      await part(world, 1);
    },
    finally: (world) => world.proxy.wire.cutNoMore(),
  },
  {
    name: 'cut every 300 ms for 8 s, then calm',
    async during(world) {
      await begin(world);
      world.fault();
      world.proxy.wire.cutEvery(300);
      await part(world, 0.95);
      world.proxy.wire.cutNoMore();
      world.over();
    },
  },
  { name: 'frozen for 5 s without a FIN', quick: true, during: frozenFor(5_000) },
  { name: 'frozen for 5 s, and forgotten by the router', settleMs: 60_000, during: frozenFor(5_000, { forget: true }) },
  { name: 'upgrades refused from the start', quick: true, before: fromTheStart({ upgrades: 'refuse' }), walks: /^sse/ },
  { name: 'upgrades eaten from the start', settleMs: 60_000, before: fromTheStart({ upgrades: 'eat' }), walks: /^sse/ },
  { name: 'upgrades never answered', settleMs: 60_000, before: fromTheStart({ upgrades: 'never' }), walks: /^sse/ },
  {
    name: 'upgrades blocked in mid-stream: cut and refused', quick: true, walks: /^ws.* → sse/,
    async during(world) {
      await begin(world);
      world.fault();
      world.proxy.box.upgrades = 'refuse';
      world.proxy.box.breakTunnels('cut');
    },
  },
  {
    name: 'upgrades blocked in mid-stream: eaten', settleMs: 60_000, walks: /^ws.* → sse/,
    async during(world) {
      await begin(world);
      world.fault();
      world.proxy.box.upgrades = 'eat';
      world.proxy.box.breakTunnels('eat');
    },
  },
  {
    name: 'upgrades allowed again: the ladder climbs', settleMs: 120_000, walks: /^sse.* → ws/, rate: 100,
    before: (world) => { world.proxy.box.upgrades = 'refuse'; },
    async during(world) {
      await begin(world);
      world.fault();
      world.proxy.box.upgrades = 'pass';
    },
    async finally(world) {
      const [page] = world.pages;
      await page.waitForFunction(`window.app.report().states.findLast(({state}) => state === 'connected')?.transport === 'ws'`, null, { timeout: 120_000, polling: 200 }).catch(() => {});
    },
  },
  { name: 'held back until 64 KB, WebSocket too', settleMs: 60_000, before: fromTheStart({ holdBytes: 65_536 }), walks: /(long-poll|poll)/ },
  { name: 'held back until 64 KB, upgrades refused', settleMs: 60_000, before: fromTheStart({ holdBytes: 65_536, upgrades: 'refuse' }), walks: /^(long-poll|poll)/ },
  {
    name: 'held back from mid-stream on', settleMs: 60_000, walks: /(long-poll|poll)/,
    async during(world) {
      await begin(world);
      world.fault();
      Object.assign(world.proxy.box, { holdBytes: 65_536, upgrades: 'refuse' });
      world.proxy.wire.cut();
    },
  },
  { name: 'short requests only', quick: true, settleMs: 60_000, before: fromTheStart({ wholeWithinMs: 2_000 }), walks: /poll/ },
  { name: 'long responses cut at 10 s', rate: 80, settleMs: 60_000, before: fromTheStart({ cutAfterMs: 10_000, upgrades: 'refuse' }) },
  { name: 'black hole for 20 s', rate: 80, settleMs: 60_000, during: frozenFor(20_000) },
  {
    name: 'black hole for 20 s: no SYN answered, the old connections forgotten', rate: 80, settleMs: 60_000,
    async during(world) {
      await begin(world);
      world.fault();
      world.proxy.wire.freeze();
      await world.proxy.wire.ignore();
      await sleep(20_000);
      world.proxy.wire.thaw({ forget: true });
      await world.proxy.wire.accept();
      world.over();
    },
  },
  {
    name: 'black hole for 25 s: accepted, and forgotten', rate: 60, settleMs: 60_000, during: frozenFor(25_000, { forget: true }),
  },
  {
    name: 'the node killed and started again', quick: true, broker: 'disk',
    async during(world) {
      await begin(world);
      world.fault();
      await world.node.kill();
      await world.node.up();
      world.over();
    },
  },
  {
    name: 'the node killed five times', broker: 'disk', settleMs: 60_000,
    async during(world) {
      for (let i = 1; i <= 5; i++) {
        await part(world, 0.15 * i);
        world.fault();
        await world.node.kill();
        await sleep(300);
        await world.node.up();
        world.over();
      }
    },
  },
  {
    name: 'the node drained and started again', broker: 'disk',
    async during(world) {
      await begin(world);
      world.fault();
      await world.node.drain();
      await world.node.up();
      world.over();
    },
  },
  {
    name: 'the page reloaded in mid-stream', quick: true, keep: true,
    async during(world) {
      for (let i = 1; i <= 5; i++) {
        await part(world, 0.15 * i);
        world.fault();
        await world.pages[0].reload();
        world.over();
      }
    },
  },
  {
    name: 'the leading tab closed', quick: true, pages: 3, oneConnection: true,
    async during(world) {
      await begin(world);
      const leader = await world.leader();
      world.fault();
      world.pages.splice(world.pages.indexOf(leader), 1);
      await leader.close();
    },
  },
  {
    name: 'each tab closed but the last, and new ones opened', pages: 3, oneConnection: true,
    async during(world) {
      for (let i = 1; i <= 3; i++) {
        await part(world, 0.2 * i);
        world.fault();
        const leader = await world.leader();
        world.pages.splice(world.pages.indexOf(leader), 1);
        await leader.close();
        await world.open();
      }
    },
  },
  {
    name: 'the leading tab reloaded, three times', pages: 3, oneConnection: true, keep: true,
    async during(world) {
      for (let i = 1; i <= 3; i++) {
        await part(world, 0.2 * i);
        world.fault();
        await (await world.leader()).reload();
      }
    },
  },
  {
    name: 'the leading tab crashes', pages: 3, oneConnection: true,
    async during(world) {
      await begin(world);
      const leader = await world.leader();
      world.fault();
      world.pages.splice(world.pages.indexOf(leader), 1);
      const crash = await world.context.newCDPSession(leader);
      crash.send('Page.crash').catch(() => {}); // nobody is left to answer
    },
  },
  {
    name: 'eight tabs over SSE, of six connections', pages: 8, transports: ['sse'], oneConnection: true, rate: 100, count: 1_000,
    async during(world) {
      await begin(world);
      const leader = await world.leader();
      world.fault();
      world.pages.splice(world.pages.indexOf(leader), 1);
      await leader.close();
    },
  },
  {
    name: 'three tabs, cut every 700 ms', pages: 3, oneConnection: true, settleMs: 60_000,
    async during(world) {
      await begin(world);
      world.fault();
      world.proxy.wire.cutEvery(700);
      await part(world, 1);
    },
    finally: (world) => world.proxy.wire.cutNoMore(),
  },
  {
    name: 'three tabs that share nothing', pages: 3, options: { shareTabs: false }, connections: 3,
    async during(world) {
      await begin(world);
      world.fault();
      world.proxy.wire.cut();
    },
  },
  {
    name: 'the leading tab freezes for 25 s', pages: 3, oneConnection: true, rate: 70, settleMs: 60_000,
    // The frozen one is let go at the end: it must then have all, too.
    async during(world) {
      await begin(world);
      const leader = await world.leader();
      world.fault();
      const thaw = await stop(world, leader);
      await part(world, 0.95);
      await thaw();
      world.over();
    },
  },
  {
    name: 'offline for 5 s, as the browser says', quick: true,
    async during(world) {
      await begin(world);
      world.fault();
      await world.context.setOffline(true);
      world.proxy.wire.cut();
      await sleep(5_000);
      await world.context.setOffline(false);
      world.over();
    },
  },
  {
    name: 'a slow line: 300 ms each way, 40 KB/s', settleMs: 60_000,
    before(world) {
      Object.assign(world.proxy.wire, { delayMs: 300, bytesPerSecond: 40_000 });
    },
  },
  ...['sse', 'long-poll', 'poll'].map((transport) => ({
    name: `only ${transport}, cut every 700 ms`, transports: [transport], settleMs: 60_000,
    async during(world) {
      await begin(world);
      world.fault();
      world.proxy.wire.cutEvery(700);
      await part(world, 1);
    },
    finally: (world) => world.proxy.wire.cutNoMore(),
  })),
  {
    // The network forgot it meanwhile: nothing but the clock tells the page.
    name: 'the machine sleeps for 25 s', rate: 60, own: {}, settleMs: 60_000, within: { firstMs: 6_000 },
    async during(world) {
      await begin(world);
      world.fault();
      world.machine.sleep();
      world.proxy.wire.freeze();
      await sleep(25_000);
      world.proxy.wire.thaw({ forget: true });
      world.machine.wake();
      world.over();
    },
  },
  {
    name: 'the page frozen for 25 s', rate: 60, settleMs: 60_000, within: { firstMs: 6_000 },
    async during(world) {
      await begin(world);
      world.fault();
      const thaw = await stop(world, world.pages[0]);
      world.proxy.wire.freeze();
      await sleep(25_000);
      world.proxy.wire.thaw({ forget: true });
      await thaw();
      world.over();
    },
  },
  {
    name: 'away to another page, and back', keep: true, own: { ignoreDefaultArgs: ['--disable-back-forward-cache'] },
    async during(world) {
      const [page] = world.pages;
      for (let i = 1; i <= 3; i++) {
        await part(world, 0.2 * i);
        world.fault();
        await page.goto(`${world.statics.url}/bare.html`);
        await sleep(700);
        // The driver does not notice a page that comes back from the cache.
        await page.goBack({ waitUntil: 'commit', timeout: 1_500 }).catch(() => {});
        world.over();
        await page.waitForFunction('window.app', null, { timeout: 10_000 });
        (world.restored ??= []).push(await page.evaluate('window.restored'));
      }
      console.log(`away and back: ${world.restored.filter(Boolean).length} of 3 from the back/forward cache`);
    },
  },
  {
    name: 'at most once, frozen for 5 s and forgotten: what is missing is told', namespace: 'fleeting', allows: 'gap', rate: 100, expected: 1,
    during: frozenFor(5_000, { forget: true }),
    finally: (world) => world.pages[0].waitForFunction(`window.app.report().deliveries.at(-1)?.n === ${world.publisher.count}`, null, { timeout: 20_000, polling: 100 }),
  },
  {
    name: 'the log lost its past: a gap is told, and not twice', broker: 'memory', allows: 'gap', settleMs: 5_000,
    async during(world) {
      await begin(world);
      world.fault();
      await world.node.kill();
      await world.node.up();
      world.over();
    },
  },
];

/** What must hold of an outcome, beside what it prints. */
export function expect(scenario, { results, complaints, connections }) {
  assert.deepEqual(complaints, [], 'the page complained');
  for (const result of results) {
    const { words, verdict, walked, gaps } = result;
    if (scenario.allows === 'gap') {
      assert.deepEqual([verdict.twice, verdict.early], [[], []], words);
      assert.ok(gaps.length >= 1, 'no gap was told');
      // Where it can be known how many are missing, it is so many.
      if (gaps.every(({ missed }) => missed !== null)) assert.equal(gaps.reduce((sum, { missed }) => sum + missed, 0), verdict.lost.length, 'what the gaps say, and what is missing');
    } else {
      assert.ok(verdict.good, `${words}; transports: ${walked}`);
      assert.equal(gaps.length, 0, `gaps were told: ${JSON.stringify(gaps)}`);
    }
    for (const [what, ms] of Object.entries(scenario.within ?? {})) assert.ok(result[what] <= ms, `${what}: ${result[what]}, not within ${ms}`);
    if (scenario.walks) assert.match(walked.replace(/[×@][\d.]+/g, ''), scenario.walks);
  }
  const streams = scenario.oneConnection ? 1 : scenario.connections;
  if (streams) assert.equal(connections, streams, 'connections of all tabs together');
}
