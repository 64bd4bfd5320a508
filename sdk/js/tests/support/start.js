// A harness on its own:  start.js COMMAND…  with URL and CONTROL as its addresses
import { spawn } from 'node:child_process';
import { Harness } from './harness.js';

const harness = await Harness.start();
const child = spawn(
  process.argv[2],
  process.argv.slice(3).map((arg) => ({ URL: harness.url, CONTROL: harness.control })[arg] ?? arg),
  { stdio: 'inherit' },
);
child.on('exit', async (code) => {
  await harness.end();
  process.exit(code ?? 1);
});
