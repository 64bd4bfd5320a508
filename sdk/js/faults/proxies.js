// The node behind Debian's nginx and HAProxy: what passes, and what the SDK makes of it.
//
//   IDLE_S=70      how long a connection is idle before it must still deliver
//   LADDER=no      the facts alone, without the SDK
//   ONLY=word      those with the word in their name

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { FACTS } from './proxies/facts.js';
import { ladder } from './proxies/ladder.js';
import { SETUPS, missing, start } from './proxies/setups.js';
import { launch } from './rig/browser.js';
import { Node, sleep } from './rig/node.js';
import { SDK_DIST, serve } from './rig/statics.js';

const idleMs = Number(process.env.IDLE_S ?? 70) * 1_000;
const withLadder = process.env.LADDER !== 'no' && existsSync(join(SDK_DIST, 'tidings.js'));
const skip = missing.length > 0 && `SKIP: ${missing.join(', ')} is missing; scripts/setup-tests installs it`;
/** What the SDK is given. */
const LADDERS = { all: undefined, sse: ['sse'], 'long-poll': ['long-poll'], poll: ['poll'] };
const chosen = SETUPS.filter(({ name }) => name.includes(process.env.ONLY ?? ''));

describe('behind a proxy', { concurrency: 64, skip }, () => {
  const seen = new Map(chosen.map((setup) => [setup, { facts: {}, ladder: {} }]));
  const browsers = {};
  let node;
  let statics;

  before(async () => {
    node = await Node.start();
    statics = await serve();
    if (!withLadder) return;
    browsers[1] = await launch({ args: [...launch.ARGS, '--disable-http2'] });
    browsers[2] = await launch();
  });
  after(async () => {
    for (const browser of Object.values(browsers)) await browser.close();
    statics.close();
    await node.stop();
    show(seen);
  });

  for (const setup of chosen) {
    test(setup.name, { timeout: 200_000 }, async () => {
      // One after the other at first, so that they do not measure each other; then all are idle together.
      await sleep(chosen.indexOf(setup) * 2_500);
      const proxy = await start(setup, node.url);
      try {
        const channel = `open:${setup.name.replace(/[^a-z0-9]+/gi, '-')}`;
        const what = { ...setup, url: proxy.url, node: node.url, statics: statics.url, channel, idleMs };
        const { facts } = seen.get(setup);
        const measured = Promise.all(Object.entries(FACTS).map(async ([name, measure]) => {
          facts[name] = await measure(what).catch((error) => `failed: ${error.message}`);
        }));
        if (withLadder) {
          const { ladder: climbed } = seen.get(setup);
          await Promise.all(Object.entries(LADDERS).map(async ([name, transports], i) => {
            await sleep(300 * (i + 1));
            climbed[name] = await ladder(browsers[setup.http], { ...what, transports, channel: `${channel}-ladder-${name}` });
          }));
        }
        await measured;
        expect(setup, seen.get(setup));
      } finally {
        await proxy.stop();
      }
    });
  }
});

/** What docs/proxies.md says, and what must hold of every setup. */
function expect({ kind, proxy }, { facts, ladder: climbed }) {
  assert.equal(facts.poll, '200');
  assert.match(facts.SSE, /first bytes \d+ ms, a message \d+ ms, after \d+ s idle \d+ ms/);
  if (kind === 'tuned') {
    assert.match(facts.WebSocket, /after \d+ s idle \d+ ms/);
    assert.match(facts['long-poll'], /: 200 /);
    assert.match(facts['streaming publish'], /^as it arrives, 200/);
    assert.equal(facts['a batch of 2 MB'], '200');
  } else if (proxy === 'nginx') {
    assert.match(facts.WebSocket, /Unexpected server response: 400/);
  }
  for (const [name, { got, transport, idleChanges }] of Object.entries(climbed)) {
    assert.deepEqual(got, [1, 2], name);
    assert.deepEqual(idleChanges, [], `${name}: an idle connection should stay`);
    // Debian's nginx drops the headers of an upgrade.
    const best = kind === 'stock' && proxy === 'nginx' ? 'sse' : 'ws';
    assert.equal(transport, name === 'all' ? best : name, `what ${name} landed on`);
  }
}

function show(seen) {
  for (const [setup, { facts, ladder: climbed }] of seen) {
    console.log(`\n${setup.name}${setup.tls ? ', TLS' : ''}`);
    for (const name of Object.keys(FACTS)) console.log(`  ${name.padEnd(22)} ${facts[name]}`);
    for (const [name, { walked, firstMs, idleChanges, messageMs }] of Object.entries(climbed)) {
      console.log(`  ${`the SDK, ${name}`.padEnd(22)} ${walked}; first message after ${firstMs} ms, after the idle time ${idleChanges.length} changes and a message in ${messageMs} ms`);
    }
  }
}
