// What is published: its size, its contents, its types; and that dist/ is what the sources build to.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const home = fileURLToPath(new URL('..', import.meta.url));
const LIMIT = 12 * 1024;

const files = (folder) =>
  readdirSync(folder, { recursive: true })
    .filter((name) => statSync(join(folder, name)).isFile())
    .sort();
const npx = (...args) =>
  execFileSync(join(home, 'node_modules/.bin', args[0]), args.slice(1), { cwd: home, encoding: 'utf8', stdio: 'pipe' });

test('the main module has at most 12 KB gzipped', (t) => {
  const size = gzipSync(readFileSync(`${home}dist/tidings.js`), { level: 9 }).length;
  t.diagnostic(`${size} bytes gzipped`);
  assert.ok(size <= LIMIT, `${size} bytes`);
});

test('the main module is one file, and imports nothing but its tabs, when it needs them', () => {
  const text = readFileSync(`${home}dist/tidings.js`, 'utf8');
  assert.doesNotMatch(text, /\bfrom\s*["']/);
  assert.deepEqual(
    [...text.matchAll(/import\((.*?)\)/g)].map((match) => match[1]),
    ['"./tabs.js"'],
  );
});

test('dist/ is what the sources build to', () => {
  const built = mkdtempSync(join(tmpdir(), 'tidings-dist-'));
  try {
    execFileSync(process.execPath, [`${home}scripts/build.js`, built], { stdio: 'pipe' });
    assert.deepEqual(files(built), files(`${home}dist`), 'run: npm run build');
    for (const name of files(built)) {
      assert.equal(
        readFileSync(join(home, 'dist', name), 'utf8'),
        readFileSync(join(built, name), 'utf8'),
        `${name}: run npm run build`,
      );
    }
  } finally {
    rmSync(built, { recursive: true });
  }
});

test('npm pack holds what is needed, and no more', () => {
  const [{ files: packed }] = JSON.parse(
    execFileSync('npm', ['pack', '--dry-run', '--json'], { cwd: home, encoding: 'utf8', stdio: 'pipe' }),
  );
  const names = packed.map(({ path }) => path);
  for (const name of [
    'dist/tidings.js',
    'dist/tabs.js',
    'dist/react.js',
    'dist/types/index.d.ts',
    'dist/types/react.d.ts',
    'README.md',
    'package.json',
  ])
    assert.ok(names.includes(name), name);
  for (const name of names)
    assert.match(
      name,
      /^(dist\/(tidings|tabs|react)\.js|dist\/types\/[\w/-]+\.d\.ts|README\.md|package\.json|LICENSE-\w+)$/,
    );
});

test('publint has nothing to say', () => {
  assert.match(npx('publint', '--strict'), /All good/);
});

test('the types resolve, as arethetypeswrong sees it', () => {
  npx('attw', '--pack', '.', '--profile', 'esm-only');
});

test('no transport has more than 250 lines, and no file more than 400', () => {
  for (const name of files(`${home}src`)) {
    const lines = readFileSync(join(home, 'src', name), 'utf8').split('\n').length;
    assert.ok(lines <= (name.startsWith('transports') ? 250 : 400), `${name}: ${lines} lines`);
  }
});
