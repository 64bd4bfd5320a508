// Faults in a random order, of a seed: what nobody thought of.

import { sleep } from './node.js';

/** Random numbers of 0 to 1 from a seed (mulberry32). */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const FAULTS = {
  cut: ({ proxy }) => proxy.wire.cut(),
  async freeze({ proxy }, random) {
    proxy.wire.freeze();
    await sleep(200 + random() * 4_000);
    proxy.wire.thaw({ forget: random() < 0.4 });
  },
  async refuse({ proxy }, random) {
    await proxy.wire.refuse();
    proxy.wire.cut();
    await sleep(random() * 2_000);
    await proxy.wire.accept();
  },
  upgrades({ proxy }, random) {
    proxy.box.upgrades = ['pass', 'pass', 'refuse', 'eat', 'never'][Math.floor(random() * 5)];
    proxy.box.breakTunnels(random() < 0.5 ? 'cut' : 'eat');
  },
  hold({ proxy }, random) {
    proxy.box.holdBytes = random() < 0.5 ? 0 : Math.floor(random() * 65_536);
    if (random() < 0.5) proxy.wire.cut();
  },
  whole({ proxy }, random) {
    proxy.box.wholeWithinMs = random() < 0.5 ? 0 : 2_000;
    if (random() < 0.5) proxy.wire.cut();
  },
  cutAfter({ proxy }, random) { proxy.box.cutAfterMs = random() < 0.5 ? 0 : 500 + random() * 5_000; },
  slow({ proxy }, random) { proxy.wire.delayMs = random() < 0.5 ? 0 : random() * 400; },
  async kill({ node }, random) {
    await node.kill();
    await sleep(random() * 1_000);
    await node.up();
  },
  async offline({ context }, random) {
    await context.setOffline(true);
    await sleep(random() * 2_000);
    await context.setOffline(false);
  },
  async reload({ pages }, random) { await pages[Math.floor(random() * pages.length)].reload(); },
  async another(world, random) {
    const [page] = world.pages.splice(Math.floor(random() * world.pages.length), 1);
    await page.close();
    await world.open();
  },
};

/** Faults until `until()` is true; then all is well again. */
export async function chaos(world, seed, until) {
  const random = randomOf(seed);
  const names = Object.keys(FAULTS);
  world.history = [];
  while (!until()) {
    await sleep(100 + random() * 1_500);
    const name = names[Math.floor(random() * names.length)];
    world.history.push(name);
    await FAULTS[name](world, random);
  }
  Object.assign(world.proxy.box, { upgrades: 'pass', holdBytes: 0, wholeWithinMs: 0, cutAfterMs: 0 });
  Object.assign(world.proxy.wire, { delayMs: 0 });
  world.proxy.wire.cut();
}
