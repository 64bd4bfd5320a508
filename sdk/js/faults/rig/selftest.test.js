// The runner itself, with a stand-in for the SDK that is known to be right, or known to be wrong.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch } from './browser.js';
import { sleep } from './node.js';
import { run } from './run.js';
import { FAKE_DIST } from './statics.js';

let browser;

const calm = { name: 'calm', count: 200, rate: 200, settleMs: 2_000 };
const cutOnce = {
  ...calm, name: 'cut once', settleMs: 8_000,
  async during(world) {
    await world.published(100);
    world.fault();
    world.proxy.wire.cut();
  },
};
const stand = async (scenario, faults) => (await run(browser, scenario, { dist: FAKE_DIST, options: { faults } })).results[0];

describe('the runner', { concurrency: 4 }, () => {
  before(async () => { browser = await launch(); });
  after(() => browser.close());

  test('who gets all is found good', async () => {
    const result = await stand(calm);
    assert.equal(result.words, 'each once, in order');
    assert.ok(result.lagMaxMs < 5_000, `${result.lagMaxMs} ms`);
  });

  test('who is cut and comes back with the cursor is found good, and the pause is seen', async () => {
    const result = await stand(cutOnce);
    assert.equal(result.words, 'each once, in order');
    assert.ok(result.firstMs > 1_000 && result.firstMs < 15_000, `an EventSource comes back after 2 s, not after ${result.firstMs} ms`);
    assert.match(result.walked, /^sse×2/);
  });

  test('who loses is found out', async () => {
    const { verdict } = await stand(calm, { lose: 97 });
    assert.deepEqual(verdict.lost, [97, 194]);
  });

  test('who delivers twice is found out', async () => {
    const { verdict } = await stand(calm, { twice: 97 });
    assert.deepEqual(verdict.twice, [97, 194]);
  });

  test('who changes the order is found out', async () => {
    const { verdict } = await stand(calm, { swap: 97 });
    assert.deepEqual(verdict.early, [97, 194]);
  });

  test('who comes back without the cursor is found out', async () => {
    const { verdict } = await stand(cutOnce, { forget: true });
    assert.ok(verdict.lost.length > 0);
  });

  test('who reloads and keeps the cursor loses nothing; who does not keep it gets all twice', async () => {
    const reload = (keep) => ({
      ...calm, name: 'reload', keep,
      async during(world) {
        await world.published(100);
        await sleep(50);
        await world.pages[0].reload();
      },
    });
    assert.equal((await stand(reload(true))).words, 'each once, in order');
    assert.ok((await stand(reload(false))).verdict.twice.length > 50);
  });
});
