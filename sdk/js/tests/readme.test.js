// The examples of README.md run as they stand, against `tidings serve --dev`. `// → text` is what they print.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { transformSync } from 'esbuild';
import { binary, Node } from './support/node.js';

const home = fileURLToPath(new URL('..', import.meta.url));
const readme = readFileSync(`${home}README.md`, 'utf8');
const blocks = [...readme.matchAll(/^## (.*)$|^```(tsx?)\n([\s\S]*?)^```$/gm)];

/** The title above each example, and its text. */
const examples = [];
let title = '';
for (const [, heading, kind, text] of blocks) {
  if (heading) title = heading;
  else examples.push({ title, kind, text });
}

const PREAMBLE = `import { Tidings } from 'tidings';\nconst client = new Tidings({ url: 'http://127.0.0.1:8080' });\n`;
const whole = ({ text }) => (/new Tidings\(/.test(text) && /import \{ Tidings/.test(text) ? text : PREAMBLE + text);

test('the examples are typed as they should be', () => {
  mkdirSync(`${home}.tests/readme`, { recursive: true });
  for (const [i, example] of examples.entries())
    writeFileSync(`${home}.tests/readme/example-${i}.${example.kind}`, `${whole(example)}\nexport {};\n`);
  const options = {
    extends: '../../tsconfig.json',
    compilerOptions: { noEmit: true, rootDir: '../..', noUnusedLocals: false },
    include: ['*.ts', '*.tsx'],
  };
  writeFileSync(`${home}.tests/readme/tsconfig.json`, JSON.stringify(options));
  try {
    execFileSync(process.execPath, [`${home}node_modules/typescript/bin/tsc`, '-p', `${home}.tests/readme`], {
      stdio: 'pipe',
    });
  } catch (error) {
    assert.fail(String(error.stdout));
  }
});

test('the examples do what they say', {
  skip: binary || process.env.CI === 'true' ? false : 'SKIP: no node',
}, async (t) => {
  const node = await Node.start(['--dev']);
  try {
    for (const [i, example] of examples.entries()) {
      if (example.kind !== 'ts') continue;
      await t.test(`${example.title} (${i + 1})`, () => runs(example, `${home}.tests/readme/example-${i}.mjs`, node));
    }
  } finally {
    await node.end();
  }
});

async function runs(example, file, node) {
  const { code } = transformSync(whole(example), { loader: 'ts', format: 'esm' });
  const url = code.replaceAll('http://127.0.0.1:8080', node.url);
  const end = 'await new Promise((resolve) => setTimeout(resolve, 1000));\nglobalThis.process.exit();\n';
  writeFileSync(file, url + end);
  const child = spawn(process.execPath, ['--experimental-websocket', '--no-warnings', file], { stdio: 'pipe' });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
  const status = await new Promise((resolve) => child.on('exit', resolve));
  assert.equal(status, 0, said);
  for (const [, expected] of example.text.matchAll(/\/\/ → (.*)$/gm)) {
    assert.ok(
      said.split('\n').some((line) => line.startsWith(expected)),
      `\`${expected}\` was to be printed, not:\n${said}`,
    );
  }
}
