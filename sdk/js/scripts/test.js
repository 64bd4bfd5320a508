// All that a change of the SDK must pass. What cannot run here says SKIP, and in CI a skip is a failure.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const home = fileURLToPath(new URL('..', import.meta.url));
const TESTS = ['unit', 'readme', 'package', 'runtimes'].map((name) => `tests/${name}.test.js`);
const bin = (name) => `${home}node_modules/.bin/${name}`;

function step(name, command, ...args) {
  const began = Date.now();
  console.log(`==> ${name}`);
  const { status } = spawnSync(command, args, { cwd: home, stdio: 'inherit' });
  if (status !== 0) {
    console.error(`FAILED: ${name}`);
    process.exit(1);
  }
  console.log(`==> ${name}: ${Math.round((Date.now() - began) / 1_000)} s\n`);
}

step('lint and format', bin('biome'), 'check', '--error-on-warnings', '.');
step('types', process.execPath, 'node_modules/typescript/bin/tsc', '--noEmit');
step('types of the suite', process.execPath, 'node_modules/typescript/bin/tsc', '-p', 'tests/tsconfig.json');
step(
  'the suite for each runtime',
  bin('esbuild'),
  'tests/suite.ts',
  '--bundle',
  '--format=esm',
  '--outfile=.tests/suite.js',
  '--log-level=error',
);
step(
  'parts for the unit tests',
  bin('esbuild'),
  'tests/parts.ts',
  '--bundle',
  '--format=esm',
  '--outfile=.tests/parts.js',
  '--log-level=error',
);
step('tests', process.execPath, '--test', '--test-reporter=spec', ...process.argv.slice(2), ...TESTS);
