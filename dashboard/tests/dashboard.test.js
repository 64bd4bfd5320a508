// The dashboard, as a person uses it: against a development node, which asks for no key.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { accessible, launch, NODE, picture, SCREENS, skip, until, visit } from './browser.js';

/** Nobody else's: the node may have been there before. */
const mine = (name) => `${name}-${Date.now().toString(36)}`;

describe('the dashboard', { skip }, () => {
  let browser;
  const open = new Set();
  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());
  afterEach(() => {
    for (const reader of open) reader.abort();
    open.clear();
  });

  /** A reader of a channel over SSE; says whether the node has ended it. */
  async function read(channel, token) {
    const ending = new AbortController();
    open.add(ending);
    const headers = { accept: 'text/event-stream', ...(token ? { authorization: `Bearer ${token}` } : {}) };
    const reply = await fetch(`${NODE}/v1/channels/${channel}`, { headers, signal: ending.signal });
    assert.equal(reply.status, 200);
    let over = false;
    (async () => {
      for await (const _ of reply.body);
    })().then(
      () => {
        over = true;
      },
      () => {},
    );
    return () => over;
  }

  async function token(user, info) {
    const body = JSON.stringify({ user, info, subscribe: ['demo:*'] });
    return (await (await fetch(`${NODE}/dev/token`, { method: 'POST', body })).json()).token;
  }

  const say = (channel, text) =>
    fetch(`${NODE}/v1/channels/${channel}`, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: text });

  const has = (page, selector, words) =>
    until(
      async () => (await page.locator(selector).allTextContents()).some((text) => words.test(text)),
      `${selector} has ${words}`,
    );

  test('it shows what the node does, live: connections, messages and errors', async () => {
    const { page, complaints } = await visit(browser, '/dashboard');
    await has(page, '.link', /live over WebSocket/);
    await has(page, '.cards td', /serving/);
    await read('demo:overview');
    await say('demo:overview', 'one');
    await fetch(`${NODE}/v1/channels/nowhere:a`);
    await has(page, '.tiles > div', /^Connections[1-9]/);
    await has(page, '.cards tr', /^unknown-namespace[1-9]/);
    assert.equal(await page.locator('.plots canvas').count(), 6);
    await accessible(page);
    await picture(page, 'dashboard-live');
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test('a channel is found, its messages come, and one is followed to its readers', async () => {
    const channel = mine('demo:find');
    await read(channel);
    await say(channel, 'the first <b>message</b>');
    const { page, complaints } = await visit(browser, '/dashboard');
    await page.click('.views >> text=Channels');
    await page.fill('#prefix', channel.slice(0, -2));
    await page.click(`.cards a >> text=${channel}`);
    await has(page, '.log li', /^the first <b>message<\/b>/);
    await say(channel, 'the second');
    await has(page, '.log li', /^the second/);
    await page.locator('.log li', { hasText: 'the first' }).getByRole('button').click();
    await has(page, '.readers h3', /^Who got “the first/);
    await has(page, '.verdict-line', /^2 of 2 readers got it/);
    await has(page, '.readers td', /yes/);
    await has(page, '#said', /2 of 2 readers got it/);
    await accessible(page);
    await picture(page, 'dashboard-followed');
    await page.click('text=Follow no longer');
    await has(page, '.verdict-line', /^2 live; this page/);
    await page.reload();
    await has(page, '.log li', /^the second/);
    assert.equal(await page.textContent('#channel-title'), channel);
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test('a message is published by keyboard alone, and what is no JSON is refused in words', async () => {
    const { page } = await visit(browser, `/dashboard#channels/${mine('demo:publish')}`);
    await has(page, '.messages .empty', /No message is kept/);
    await page.focus('#publish-data');
    await page.keyboard.type('{"price": 12');
    await page.keyboard.press('Tab');
    await page.keyboard.press('j');
    for (let tab = 0; tab < 3; tab++) await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.result.bad');
    await page.focus('#publish-data');
    await page.keyboard.press('End');
    await page.keyboard.type('}');
    await page.locator('.publish .primary').press('Enter');
    await has(page, '.log li', /^{"price":12}/);
    await has(page, '.verdict-line', /^1 of 1 readers? got it/);
    await page.close();
  });

  test('who is there is shown, disconnected after a question, and revoked', async () => {
    const [user, channel] = [mine('alice'), mine('demo:who')];
    const alice = await token(user, { name: 'Alice' });
    const over = await read(channel, alice);
    const { page, complaints } = await visit(browser, `/dashboard#channels/${channel}`);
    await has(page, '.cards td', /"Alice"/);
    await page.click('.views >> text=Clients');
    await page.fill('#user', user);
    await has(page, '.find button', /Disconnect alice/);
    await has(page, '.cards tr', /^alice-.*sse/);
    const ask = page.locator('.cards td button').first();
    await ask.press('Enter');
    await page.waitForSelector('dialog[open]');
    assert.match(await page.textContent('dialog'), /Come back.*Stay away.*tidings disconnect/s);
    await accessible(page);
    await picture(page, 'dashboard-disconnect');
    await page.check('dialog input[value="away"]');
    await page.fill('dialog input:not([type])', "it's a flood");
    assert.match(await page.textContent('dialog code'), /^tidings disconnect \S+ --away --reason 'it'\\''s a flood'$/);
    await page.keyboard.press('Escape');
    await until(async () => (await page.locator('dialog').count()) === 0, 'the dialog is gone');
    assert.ok(await ask.evaluate((button) => button === document.activeElement), 'the focus is back');
    await ask.press('Enter');
    await page.click('dialog >> text=Disconnect >> nth=-1');
    await has(page, 'dialog .notice', /1 connection was told/);
    await until(over, 'the stream ends');
    await page.click('dialog >> text=Close');
    await has(page, '.empty', /alice-.* is not connected/);
    await page.fill('.revoke input', user);
    await page.click('.revoke button');
    assert.match(await page.textContent('dialog'), /cannot be taken back.*tidings revoke --user alice-/s);
    await page.click('dialog .danger');
    await has(page, 'dialog .notice', /Revoked until/);
    const refused = await fetch(`${NODE}/v1/channels/${channel}`, { headers: { authorization: `Bearer ${alice}` } });
    assert.equal(refused.status, 401);
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test('a cut is told with the age of what stands there, and healed by itself', async () => {
    const { page } = await visit(browser, '/');
    let cut = false;
    const sockets = [];
    await page.routeWebSocket(/\/v1\/connect/, (ws) => {
      if (cut) return ws.close({ code: 1011 });
      ws.connectToServer();
      sockets.push(ws);
    });
    await page.route('**/v1/subscribe**', (route) => (cut ? route.abort() : route.continue()));
    await page.route('**/v1/channels/**', (route) => (cut ? route.abort() : route.continue()));
    await page.goto(`${NODE}/dashboard`);
    await has(page, '.link', /live over WebSocket/);
    await has(page, '.cards td', /serving/);
    cut = true;
    for (const ws of sockets) ws.close({ code: 1011 });
    await has(page, '.link', /What stands here is from \d\d:\d\d:\d\d/);
    await has(page, '#said', /lost/);
    await until(async () => /no news for \d+ s/.test(await page.textContent('.cards')), 'the node is stale', 20_000);
    await accessible(page);
    await picture(page, 'dashboard-cut');
    cut = false;
    await until(async () => /^live/.test(await page.textContent('.link')), 'live again', 40_000);
    await has(page, '.cards td', /serving/);
    await page.close();
  });

  test('where the node does not answer at first, it is asked again', async () => {
    const { page } = await visit(browser, '/');
    let away = true;
    await page.route('**/v1/nodes', (route) => (away ? route.abort() : route.continue()));
    await page.goto(`${NODE}/dashboard`);
    await has(page, '.notice', /does not answer/);
    await accessible(page);
    away = false;
    await page.click('text=Try again');
    await has(page, '.link', /live over/);
    await page.close();
  });

  for (const [screen, options] of Object.entries(SCREENS)) {
    test(`channels and clients, ${screen}: nothing for axe, and nothing wider than the screen`, async () => {
      const channel = mine('demo:screens');
      await read(channel);
      await say(channel, 'w'.repeat(300));
      const { page, complaints } = await visit(browser, `/dashboard#channels/${channel}`, options);
      await has(page, '.readers td', /sse/);
      await accessible(page);
      await picture(page, `dashboard-channel-${screen}`);
      await page.goto(`${NODE}/dashboard#clients`);
      await has(page, '.cards td', /sse/);
      await accessible(page);
      await picture(page, `dashboard-clients-${screen}`);
      assert.deepEqual(complaints, []);
      await page.close();
    });
  }
});
