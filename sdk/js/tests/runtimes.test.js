// The suite, on every runtime, against a real node: Node, Bun, Deno, and a page in Chromium. Each has a node and a
// network of its own. One runtime after the other, so that a slow machine is not late.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { executablePath, launch } from './support/browser.js';
import { Harness } from './support/harness.js';
import { binary } from './support/node.js';

const home = fileURLToPath(new URL('..', import.meta.url));
const program = (name) => `${home}node_modules/.bin/${name}`;
const ONLY = process.env.ONLY ?? '';
/** The long scenarios, too: minutes, not seconds. */
const LONG = process.env.TIDINGS_SDK_LONG === '1';

const RUNTIMES = {
  'Node with WebSocket': [process.execPath, '--experimental-websocket', '--no-warnings'],
  Bun: [program('bun')],
  Deno: [program('deno'), 'run', '-A', '--no-lock', '--quiet'],
};

const skip = (what) => (process.env.CI === 'true' ? false : `SKIP: ${what}`);
const noNode = binary ? false : skip('no node; build one (cargo build) or name it with TIDINGS_BIN=/path/to/tidings');

async function run(command, args, tell) {
  const child = spawn(command, args, { cwd: home, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said += text));
  const code = await new Promise((resolve, reject) => child.on('exit', resolve).on('error', reject));
  tell(said);
  assert.equal(
    code,
    0,
    said
      .split('\n')
      .filter((line) => !line.startsWith('ok '))
      .join('\n'),
  );
}

test('the suite', { concurrency: 1, skip: noNode }, async (t) => {
  const jobs = Object.entries(RUNTIMES).map(([name, [command, ...flags]]) =>
    t.test(name, { skip: existsSync(command) ? false : skip(`${name} is not installed: npm install`) }, async (t) => {
      await withHarnesses(async (quiet, broken) => {
        const networks = [quiet.url, quiet.control, broken.url, broken.control, LONG ? 'long' : 'short'];
        await run(command, [...flags, 'tests/support/run.js', ...networks, ONLY], (said) => t.diagnostic(said));
      });
    }),
  );
  jobs.push(
    t.test(
      'Chromium',
      { skip: executablePath ? false : skip('no Chromium; name one with CHROMIUM=/path') },
      async (t) => {
        await withHarnesses(async (quiet, broken) => {
          const browser = await launch();
          const lines = [];
          try {
            // A page's origin is its node: one for each network.
            const results = await Promise.all(
              [quiet, broken].map(async (harness) => {
                const page = await browser.newPage();
                page.on('console', (line) => lines.push(line.text()));
                await page.goto(`${harness.url}/_files/tests/support/page.html`);
                return page.evaluate(runInPage, [harness.url, harness.control, harness === broken, ONLY, LONG]);
              }),
            );
            t.diagnostic(lines.join('\n'));
            assert.ok(results.every(Boolean), lines.filter((line) => !line.startsWith('ok ')).join('\n'));
          } finally {
            await browser.close();
          }
        });
      },
    ),
    t.test('Chromium, tabs that share a connection', { skip: executablePath ? false : skip('no Chromium') }, tabs),
  );
  await Promise.all(jobs);
});

/** Two networks, each with a node. */
async function withHarnesses(act) {
  const harnesses = await Promise.all([Harness.start(), Harness.start()]);
  try {
    await act(...harnesses);
  } finally {
    for (const harness of harnesses) await harness.end();
  }
}

/** Runs in the page. */
async function runInPage([url, control, breaks, only, long]) {
  const { Tidings, TidingsError } = await import('/_files/dist/tidings.js');
  const { run } = await import('/_files/.tests/suite.js');
  const given = { url, control, Tidings, TidingsError, transports: ['ws', 'sse', 'long-poll', 'poll'] };
  return run(given, { breaks }, only, long);
}

/** Three tabs: one connection, each message once in each; the leader goes, and nothing is lost. */
async function tabs() {
  const harness = await Harness.start();
  const browser = await launch();
  try {
    const context = await browser.newContext();
    const pages = [];
    for (const after of ['earliest', 'latest', 'earliest']) {
      const page = await context.newPage();
      await page.goto(`${harness.url}/_files/tests/support/page.html`);
      await page.evaluate(follow, [harness.url, after]);
      pages.push(page);
      await put(harness, pages.length);
    }
    const got = (page, last) =>
      page
        .waitForFunction((last) => globalThis.got.at(-1) === last, last)
        .then(() => page.evaluate(() => globalThis.got));
    assert.deepEqual(
      await Promise.all(pages.map((page) => got(page, 3))),
      [
        [1, 2, 3],
        [2, 3],
        [1, 2, 3],
      ],
      'each from its own start',
    );
    assert.equal(harness.open('/v1/connect'), 1, 'connections of all tabs');
    await put(harness, 4);
    await pages.shift().close();
    for (let n = 5; n <= 20; n++) await put(harness, n);
    const numbers = (first) => Array.from({ length: 21 - first }, (_, i) => first + i);
    assert.deepEqual(
      await Promise.all(pages.map((page) => got(page, 20))),
      [numbers(2), numbers(1)],
      'nothing lost, nothing twice',
    );
    assert.equal(harness.open('/v1/connect'), 1, 'connections of those that are left');
  } finally {
    await browser.close();
    await harness.end();
  }
}

const put = (harness, data) =>
  fetch(harness.control, { method: 'POST', body: JSON.stringify({ publish: { channel: 'open:tabs', data } }) });

async function follow([url, after]) {
  const { Tidings } = await import('/_files/dist/tidings.js');
  globalThis.got = [];
  const client = new Tidings({ url });
  const channel = client.channel('open:tabs');
  await channel.subscribe({ after, onMessage: ({ data }) => globalThis.got.push(data) }).ready;
}
