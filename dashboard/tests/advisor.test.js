// The advisor, as a person uses it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { accessible, launch, NODE, picture, SCREENS, skip, until, visit } from './browser.js';

describe('the advisor', { skip }, () => {
  let browser;
  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());

  const verdict = (page) => page.textContent('#answer-title');
  const says = (page, words) => until(async () => words.test(await verdict(page)), `the answer ${words}`);
  const address = (page) => new URL(page.url()).searchParams;

  test('an answer changes with each question, and the address with it', async () => {
    const { page, complaints } = await visit(browser, '/advisor');
    await says(page, /^Server-Sent Events, at-least-once$/);
    await page.check('input[name="sends"][value="often"]');
    await says(page, /^WebSocket, at-least-once$/);
    await page.check('input[name="loss"][value="allowed"]');
    await says(page, /^WebSocket, at-most-once$/);
    await page.check('input[name="sends"][value="never"]');
    await page.fill('#fresh', '1 min');
    await says(page, /^Polling is enough, at-most-once$/);
    assert.match(await page.textContent('.reasons'), /polling is enough/i);
    assert.equal(address(page).get('fresh'), '1m');
    assert.match(
      await page.textContent('.paste'),
      /delivery = "at-most-once"[\s\S]*transports: \['poll'\][\s\S]*--fresh 1m/,
    );
    await page.reload();
    await says(page, /^Polling is enough, at-most-once$/);
    assert.equal(await page.inputValue('#fresh'), '1m');
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test('an application to start from, by keyboard alone; then another answer is tried by pressing it', async () => {
    const { page, complaints } = await visit(browser, '/advisor');
    await until(async () => (await page.locator('#start option').count()) === 14, 'the examples of docs/choosing.md');
    await page.focus('#start');
    await page.keyboard.type('Unread');
    await says(page, /^Polling is enough/);
    await page.keyboard.press('Tab');
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    await says(page, /^WebSocket/);
    assert.equal(await page.inputValue('#start'), '', 'it is no example any more');
    // The slider beside the field: one step to the right is older news.
    await page.focus('#fresh');
    await page.keyboard.press('Shift+Tab');
    const before = await page.inputValue('#fresh');
    await page.keyboard.press('ArrowRight');
    assert.notEqual(await page.inputValue('#fresh'), before);
    const turn = page.locator('.turn', { hasText: 'clients only receive' });
    await turn.press('Enter');
    await says(page, /^Polling is enough/);
    assert.ok(await page.isChecked('input[name="sends"][value="never"]'));
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test('what it says is what the command says', async () => {
    const { page } = await visit(
      browser,
      '/advisor?sends=sometimes&fresh=500ms&every=10s&users=50k&bytes=300&network=no-upgrades',
    );
    await says(page, /^Server-Sent Events/);
    const reply = await fetch(`${NODE}/dev/advise`, {
      method: 'POST',
      body: JSON.stringify({
        sends: 'sometimes',
        fresh_s: 0.5,
        every_s: 10,
        users: 50_000,
        bytes: 300,
        loss: 'never',
        network: 'no-upgrades',
      }),
    });
    const advice = await reply.json();
    assert.equal(await page.textContent('.excerpt:nth-of-type(1) code'), advice.configuration);
    assert.equal(await page.textContent('.excerpt:nth-of-type(2) code'), advice.code);
    assert.equal(await page.locator('.ladder li').count(), advice.decision.ladder.length);
    assert.match(await page.textContent('.costs'), /sseadvised/);
    await page.close();
  });

  test('a text that is no answer is said to be none, and the last answer stays', async () => {
    const { page, complaints } = await visit(browser, '/advisor?users=many');
    await page.waitForSelector('.unread');
    assert.match(await page.textContent('.unread'), /users=many/);
    await says(page, /^Server-Sent Events/);
    await page.fill('#every', 'often');
    assert.match(await page.textContent('#every-hint'), /Write it as/);
    assert.equal(await page.getAttribute('#every', 'aria-invalid'), '');
    await accessible(page);
    await page.fill('#every', '2h');
    await until(async () => address(page).get('every') === '2h', 'the address has it');
    assert.equal(await page.getAttribute('#every', 'aria-invalid'), null);
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test('a probe of the network fills in what lies between', async () => {
    const { page, complaints } = await visit(browser, '/advisor');
    await says(page, /^Server-Sent Events/);
    await page.selectOption('.probe select', '5');
    await page.click('.probe button');
    await until(async () => (await page.textContent('.probe button')) === 'Stop', 'it can be stopped');
    await page.waitForSelector('.found dl');
    const found = await page.textContent('.found');
    for (const words of [
      /Round trip[\d.]+ ms/,
      /WebSocketlet through/,
      /SSEnot held back/,
      /Silent requestalive after 5 s/,
    ]) {
      assert.match(found, words);
    }
    assert.ok(await page.isChecked('input[name="network"][value="direct"]'));
    assert.equal(address(page).get('network'), 'direct');
    await accessible(page);
    await picture(page, 'advisor-probed');
    await page.selectOption('.probe select', '600');
    await page.click('.probe button');
    await page.click('.probe button');
    await until(async () => /Stopped/.test(await page.textContent('.found')), 'stopped');
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test('where no upgrade gets through, the probe says so', async () => {
    const { page } = await visit(browser, '/');
    await page.routeWebSocket(/demo:probe/, (ws) => ws.close({ code: 1011 }));
    await page.goto(`${NODE}/advisor?sends=often`);
    await says(page, /^WebSocket/);
    await page.click('.probe button');
    await says(page, /^Server-Sent Events/);
    assert.ok(await page.isChecked('input[name="network"][value="no-upgrades"]'));
    await page.close();
  });

  test('where the node is away, the last answer stays and is old; asking again brings the new one', async () => {
    const { page } = await visit(browser, '/advisor');
    await says(page, /^Server-Sent Events/);
    await page.context().setOffline(true);
    await page.check('input[name="sends"][value="often"]');
    await page.waitForSelector('.answer > .notice:visible');
    assert.match(await page.textContent('.answer > .notice'), /does not answer/);
    assert.match(await verdict(page), /^Server-Sent Events/);
    await accessible(page);
    await picture(page, 'advisor-away');
    await page.context().setOffline(false);
    await page.click('.answer > .notice button');
    await says(page, /^WebSocket/);
    assert.ok(await page.locator('.answer > .notice').isHidden());
    await page.close();
  });

  test('what is to be pasted is copied', async () => {
    const context = await browser.newContext({ permissions: ['clipboard-read', 'clipboard-write'] });
    const page = await context.newPage();
    await page.goto(`${NODE}/advisor?fresh=1m`);
    await says(page, /^Polling/);
    await page.click('.excerpt:nth-of-type(1) .copy');
    await until(async () => /Copied/.test(await page.textContent('.excerpt:nth-of-type(1) .copy')), 'it says so');
    assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^listen = /);
    await page.click('.top .copy');
    await until(async () => /\/advisor\?/.test(await page.evaluate(() => navigator.clipboard.readText())), 'a link');
    await context.close();
  });

  test('on a phone a line of the answer is in sight while one answers', async () => {
    const { page } = await visit(browser, '/advisor', SCREENS.phone);
    await says(page, /^Server-Sent Events/);
    const short = page.locator('.short');
    assert.ok(await short.isVisible());
    await page.locator('label', { hasText: 'Once a second or more' }).tap();
    await until(async () => /^WebSocket/.test(await short.textContent()), 'it follows');
    await short.tap();
    await until(() => short.isHidden(), 'where the answer is in sight, it is not needed');
    await picture(page, 'advisor-phone-answered');
    await page.close();
  });
});
