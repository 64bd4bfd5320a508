// A harness on its own:  start.js COMMAND…  with HARNESS as its address
import { spawn, spawnSync } from 'node:child_process';
import { Harness } from './harness.js';

const harness = await Harness.start();
const child = spawn(
  process.argv[2],
  process.argv.slice(3).map((arg) => arg.replace('HARNESS', harness.url)),
  { stdio: 'inherit' },
);
child.on('exit', async (code) => {
  await harness.end();
  process.exit(code ?? 1);
});
