// The lab as a person uses it: type, click, cut, go offline, block, buffer, restart, export, reload.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { accessible, launch, picture, SCREENS, skip, until, visit } from './browser.js';

/** What a browser writes by itself where a request cannot be made or is refused; a page can neither say nor stop it. */
const NETWORK = [/^Failed to load resource: /, /^WebSocket connection to '.*' failed: /];
const LANES = ['poll', 'long-poll', 'sse', 'ws'];

describe('the lab', { skip }, () => {
  let browser;
  let page;
  let complaints;
  /** What the browser may say of the network in this test. */
  let allowed;
  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());
  beforeEach(async (context) => {
    allowed = [];
    const screen = Object.keys(SCREENS).find((name) => context.name.startsWith(`at work, ${name}`)) ?? 'light';
    ({ page, complaints } = await visit(browser, '/lab', { ...SCREENS[screen], reducedMotion: 'reduce' }));
    await until(async () => (await Promise.all(LANES.map(messages))).every((n) => n >= 2), 'messages on all lanes');
  });
  afterEach(async () => {
    // As a person leaves: a page that is closed at once cannot end its lab.
    await page.goto('about:blank');
    await page.close();
    assert.deepEqual(
      complaints.filter((line) => !allowed.some((pattern) => pattern.test(line))),
      [],
    );
  });

  const value = (lane, number) => page.textContent(`[data-lane="${lane}"] [data-number="${number}"]`);
  const messages = async (lane) => Number((await value(lane, 'messages')).replace(',', ''));
  const behind = async (lane) => Number((await value(lane, 'behind')).replace(',', ''));
  const state = (lane) => page.textContent(`[data-lane="${lane}"] .state`);
  const detail = (lane) => page.textContent(`[data-lane="${lane}"] .detail`);
  const claim = (id) => page.textContent(`[data-claim="${id}"]`);
  const press = (name) => page.getByRole('button', { name, exact: true }).click();
  const all = async (holds) => (await Promise.all(LANES.map(holds))).every(Boolean);

  const typed = (label) => page.getByRole('spinbutton', { name: label });

  async function type(label, text) {
    const field = typed(label);
    await field.fill(text);
    await field.press('Enter');
    await until(async () => (await field.inputValue()) === text, `${label} is ${text}`);
  }

  /** All lanes read what is new, and lost and repeated nothing. */
  async function whole(ms = 30_000) {
    const from = await Promise.all(LANES.map(messages));
    const goesOn = async (lane) => (await messages(lane)) > from[LANES.indexOf(lane)] && (await behind(lane)) <= 12;
    await until(() => all(goesOn), 'every lane goes on', ms);
    for (const lane of LANES)
      assert.deepEqual([await value(lane, 'lost'), await value(lane, 'duplicated')], ['0', '0'], lane);
  }

  test('four lanes read one channel: what a poll costs, and what it misses', async () => {
    await type('Publish', '5');
    await type('Poll each', '1');
    await until(async () => !(await claim('interval')).includes('Not enough'), 'enough polls');
    await whole();
    const median = await page.evaluate(() =>
      Object.fromEntries(
        [...document.querySelectorAll('.lane')].map((lane) => {
          const [number, unit] = lane.querySelector('.p50').textContent.split(' ');
          return [lane.dataset.lane, Number(number) * (unit === 's' ? 1000 : 1)];
        }),
      ),
    );
    assert.ok(median.poll > 250 && median.poll < 1_000, `a poll of 1 s has its median near 500 ms, not ${median.poll}`);
    assert.ok(median.ws < median.poll && median.sse < median.poll, JSON.stringify(median));
    assert.match(await value('ws', 'held'), /^1 \(1 opened\)|^[12] \(2 opened\)/);
    // More polls than messages come back with nothing.
    await type('Publish', '0.5');
    await type('Poll each', '0.1');
    await until(async () => Number.parseInt(await value('poll', 'empty'), 10) >= 70, 'most polls come back empty');
    await until(async () => /most|\d+ % of \d+ polls/.test(await claim('empty')), 'the claim of empty polls');
    for (const lane of LANES) assert.match(await value(lane, 'wire'), /KiB|MiB/);
  });

  test('a cable that is cut: every lane is back, and nothing is lost', async () => {
    allowed = NETWORK;
    await press('Cut the connection');
    await until(async () => all(async (lane) => /^cut: new messages after/.test(await detail(lane))), 'recoveries');
    await whole();
  });

  test('offline, and online again', async () => {
    allowed = NETWORK;
    await type('Publish', '10');
    await press('Go offline');
    assert.equal(await page.getByRole('button', { name: 'Go offline' }).getAttribute('aria-pressed'), 'true');
    await until(() => all(async (lane) => (await behind(lane)) >= 30), 'lanes that fall behind');
    await until(async () => /Nothing arrives over/.test(await page.textContent('.verdict')), 'the verdict');
    await picture(page, 'lab-offline');
    await press('Go offline');
    await until(() => all(async (lane) => /caught up/.test(await detail(lane))), 'lanes that catch up');
    await whole();
    assert.match(await page.textContent('.verdict'), /nothing is lost/);
  });

  test('upgrades are blocked: a lane alone is stuck, and goes on with its ladder', async () => {
    allowed = NETWORK;
    await press('Block WebSocket');
    await until(async () => (await state('ws')) === 'cut off', 'the lane is cut off');
    await until(async () => (await claim('blocked')).includes('messages wait'), 'the claim');
    assert.equal(await state('sse'), 'connected');
    await page.getByRole('switch').check();
    await until(async () => (await state('ws')) === 'over SSE', 'over SSE');
    await until(async () => (await claim('blocked')).includes('goes on over SSE'), 'the claim');
    await picture(page, 'lab-blocked');
    await press('Block WebSocket');
    await page.getByRole('switch').uncheck();
    await until(async () => (await state('ws')) === 'connected', 'WebSocket again');
    await whole();
  });

  test('SSE is buffered: stuck alone, over long-poll with its ladder', async () => {
    allowed = NETWORK;
    await press('Buffer SSE');
    await until(async () => (await behind('sse')) >= 5, 'the stream brings nothing');
    assert.equal(await state('ws'), 'connected');
    await page.getByRole('switch').check();
    await until(async () => (await state('sse')) === 'over Long-poll', 'over long-poll', 30_000);
    await until(async () => (await behind('sse')) <= 2, 'all of it');
    await press('Buffer SSE');
    await page.getByRole('switch').uncheck();
    await until(async () => (await state('sse')) === 'connected', 'the stream again');
    await whole();
  });

  test('the node is restarted: lanes find it again, numbers have no hole', async () => {
    allowed = NETWORK;
    const before = await Promise.all(LANES.map(messages));
    await press('Restart the node');
    await until(
      () => all(async (lane) => /^node restarted: new messages/.test(await detail(lane))),
      'recoveries',
      45_000,
    );
    await until(() => page.isEnabled('text=Restart the node'), 'the button is there again');
    await whole();
    const now = await Promise.all(LANES.map(messages));
    assert.ok(now.every((n, lane) => n > before[lane]));
  });

  test('by keyboard, with what is out of bounds and what the node refuses', async () => {
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
    await typed('Publish').focus();
    await page.keyboard.press('Control+A');
    await page.keyboard.type('900');
    await page.keyboard.press('Enter');
    await until(async () => (await typed('Publish').inputValue()) === '200', 'brought into its bounds');
    await page.waitForSelector('[role="alert"]:has-text("from 0 to 200")');
    allowed = [/status of 400/];
    await typed('Payload').fill('65536');
    await typed('Payload').press('Enter');
    await page.waitForSelector('[role="alert"]:has-text("2 MiB")');
    assert.equal(await typed('Payload').inputValue(), '128');
    await page.getByRole('button', { name: 'Buffer SSE' }).focus();
    await page.keyboard.press('Space');
    await until(
      async () => (await page.getByRole('button', { name: 'Buffer SSE' }).getAttribute('aria-pressed')) === 'true',
      'pressed',
    );
  });

  test('export as JSON and as a picture; reload and start over', async () => {
    const saved = async (name) => {
      const [download] = await Promise.all([page.waitForEvent('download'), press(name)]);
      assert.match(download.suggestedFilename(), /^tidings-lab-[\d-]+\.(json|png)$/);
      return readFileSync(await download.path());
    };
    await type('Publish', '20');
    await until(async () => (await messages('poll')) > 60, 'some messages');
    const report = JSON.parse(await saved('Export JSON'));
    assert.equal(report.format, 'tidings-lab-1');
    assert.deepEqual(Object.keys(report.lanes), LANES);
    for (const lane of Object.values(report.lanes)) {
      assert.equal(lane.lost + lane.duplicated, 0);
      assert.ok(lane.bytes_up > 0 && lane.bytes_down > 0 && lane.latency.p50 <= lane.latency.p99);
    }
    assert.equal(report.claims.length, 5);
    const png = await saved('Export picture');
    assert.equal(png.subarray(1, 4).toString(), 'PNG');
    const { writeFileSync } = await import('node:fs');
    writeFileSync(new URL('../../.tests/pages/lab-export.png', import.meta.url), png);
    await page.reload();
    await until(() => all(async (lane) => (await messages(lane)) >= 2), 'a new lab');
    await press('Start over');
    await until(() => all(async (lane) => (await messages(lane)) < 4), 'counts that begin anew');
    await whole();
  });

  for (const screen of Object.keys(SCREENS)) {
    test(`at work, ${screen}: axe finds nothing, no line is too wide`, async () => {
      allowed = NETWORK;
      await until(async () => (await messages('poll').catch(() => 0)) >= 8, 'messages');
      await press('Buffer SSE');
      await until(async () => (await behind('sse')) >= 4, 'a lane that is behind');
      await accessible(page);
      await picture(page, `lab-work-${screen}`);
    });
  }
});
