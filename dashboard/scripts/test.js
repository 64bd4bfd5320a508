// All that a change of the pages must pass, against the node at TIDINGS_URL (scripts/with-node starts one).

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const home = fileURLToPath(new URL('..', import.meta.url));
const bin = (name) => `${home}node_modules/.bin/${name}`;

function step(name, command, ...args) {
  console.log(`==> ${name}`);
  const { status } = spawnSync(command, args, { cwd: home, stdio: 'inherit' });
  if (status !== 0) fail(name);
}

function fail(why) {
  console.error(`FAILED: ${why}`);
  process.exit(1);
}

/** The committed pages are those that the committed source builds to. */
function compare() {
  const fresh = `${home}.build`;
  step('build', bin('vite'), 'build', '--outDir', '.build', '--logLevel', 'warn');
  const files = (folder) => readdirSync(folder).sort();
  const [old, now] = [files(`${home}dist`), files(fresh)];
  const same =
    old.join() === now.join() &&
    now.every((name) => readFileSync(`${fresh}/${name}`).equals(readFileSync(`${home}dist/${name}`)));
  rmSync(fresh, { recursive: true });
  if (!same) fail('dashboard/dist is not what dashboard/src builds to; run: npm run build, in dashboard');
}

step('lint and format', bin('biome'), 'check', '--error-on-warnings', '.');
step('types', bin('tsc'), '--noEmit');
compare();
const tests =
  process.argv.length > 2
    ? process.argv.slice(2)
    : readdirSync(`${home}tests`)
        .filter((name) => name.endsWith('.test.js'))
        .map((name) => `tests/${name}`);
step('tests', process.execPath, '--test', '--test-concurrency=2', '--test-reporter=spec', ...tests);
