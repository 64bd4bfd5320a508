// Random faults, of seeds: SEED=7 for one of them, SEEDS=20 for so many from a random one on.

import { chaos } from './rig/chaos.js';
import { suite } from './rig/suite.js';

const first = Number(process.env.SEED ?? Math.floor(Math.random() * 1e6));
const seeds = Array.from({ length: Number(process.env.SEEDS ?? (process.env.SEED ? 1 : 3)) }, (_, i) => first + i);

suite('random faults', seeds.map((seed) => ({
  name: `seed ${seed}`, broker: 'disk', pages: 1 + (seed % 3), keep: true, rate: 50, count: 2_000, settleMs: 90_000,
  async during(world) {
    await world.published(50);
    world.fault();
    await chaos(world, seed, () => world.publisher.last >= 1_950);
    world.over();
    console.log(`seed ${seed}: ${world.history.join(', ')}`);
  },
})));
