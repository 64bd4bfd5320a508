// The dashboard of a node that asks for a key, and that is drained.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { accessible, launch, picture, skip, until } from './browser.js';
import { start } from './node.js';

const ADMIN = 'sk_0123456789abcdef0123456789abcdef';
const PUBLISHER = 'sk_publisher-0123456789abcdef0123456789';
const hash = (key) => createHash('sha256').update(key).digest('hex');

const CONFIGURATION = `
shutdown_grace = "2s"
[broker]
kind = "memory"
[auth]
api_keys = [
  { sha256 = "${hash(ADMIN)}", rights = ["read", "publish", "administer"], name = "operator" },
  { sha256 = "${hash(PUBLISHER)}", rights = ["publish"], name = "backend" },
]
[namespaces.orders]
delivery = "at-least-once"
`;

describe('the dashboard in production', { skip }, () => {
  let browser;
  let node;
  before(async () => {
    browser = await launch();
    node = await start(CONFIGURATION);
  });
  after(async () => {
    await browser?.close();
    await node?.stop();
  });

  const has = (page, selector, words) =>
    until(
      async () => (await page.locator(selector).allTextContents()).some((text) => words.test(text)),
      `${selector} has ${words}`,
    );

  async function enter(page, key) {
    await page.fill('#key', key);
    await page.press('#key', 'Enter');
  }

  test('it asks for a key, keeps it in the tab alone, and writes it into no address', async () => {
    const page = await browser.newPage({ bypassCSP: true });
    const asked = [];
    page.on('request', (request) => asked.push(request.url()));
    page.on('websocket', (socket) => asked.push(socket.url()));
    await page.goto(`${node.url}/dashboard`);
    await has(page, 'h2', /wants an API key/);
    assert.ok(await page.locator('.bar nav').isHidden(), 'it serves no other pages');
    assert.equal(await page.getAttribute('#key', 'type'), 'password');
    await accessible(page);
    await picture(page, 'dashboard-key');
    await enter(page, 'sk_nobody-has-this-one');
    await has(page, '#key-trouble', /does not know that key/);
    await enter(page, PUBLISHER);
    await has(page, '#key-trouble', /may not administer/);
    await accessible(page);
    await picture(page, 'dashboard-key-refused');
    await enter(page, ADMIN);
    await has(page, '.link', /live over WebSocket/);
    await has(page, '.cards td', /serving/);
    await page.reload();
    await has(page, '.link', /live over WebSocket/);
    const kept = await page.evaluate(() => [JSON.stringify(localStorage), document.cookie, location.href].join());
    assert.ok(
      ![kept, ...asked].some((text) => text.includes(ADMIN)),
      'the key is in no address and in no lasting store',
    );
    await page.click('text=Forget the key');
    await has(page, 'h2', /wants an API key/);
    assert.equal(await page.evaluate(() => sessionStorage.length), 0);
    await page.close();
  });

  test('a node is drained after a question, says so to the last, and ends with 0', async () => {
    const page = await browser.newPage({ bypassCSP: true });
    await page.goto(`${node.url}/dashboard`);
    await enter(page, ADMIN);
    await has(page, '.cards td', /serving/);
    await page.click('text=Drain…');
    assert.match(await page.textContent('dialog'), /not ready.*come back.*ends with 0.*tidings drain/s);
    await accessible(page);
    await picture(page, 'dashboard-drain');
    await page.click('text=Leave it');
    await until(async () => (await page.locator('dialog').count()) === 0, 'the dialog is gone');
    await page.click('text=Drain…');
    await page.click('text=Drain it');
    await has(page, 'dialog .notice', /is draining/);
    assert.equal(await node.ended, 0);
    await page.close();
  });
});
