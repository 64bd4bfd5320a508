// The demo page, as a visitor uses it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { launch, open, skip } from './support/browser.js';
import { NODE, newChannel, numbers, publish, publishNumbers } from './support/node.js';

const ALL = ['ws', 'sse', 'long-poll', 'poll'];
const column = (id) => `[data-transport="${id}"]`;

describe('the demo page', { skip }, () => {
  let browser;
  before(async () => { browser = await launch(); });
  after(() => browser?.close());

  async function visit(channel) {
    const { page, complaints } = await open(browser, `${NODE}/?channel=${channel}`);
    await page.waitForFunction(() => document.querySelectorAll('.column[data-state="connected"]').length === 4);
    return { page, complaints };
  }
  /** A column's rows, oldest first: what they show, and whether each was caught up. */
  const rows = (page, id) => page.$$eval(`${column(id)} .messages li`, (items) =>
    items.reverse().map((item) => ({ text: item.querySelector('.data').textContent, late: item.classList.contains('late') })));
  const waitForRows = (page, ids, count) => page.waitForFunction(
    ([ids, count]) => ids.every((id) => document.querySelectorAll(`[data-transport="${id}"] .messages li`).length >= count), [ids, count]);
  const verdict = (page, text) => page.waitForFunction((text) => document.getElementById('verdict').textContent.includes(text), text);

  test('all four columns get what the page publishes, and say what they promise', async () => {
    const { page, complaints } = await visit(newChannel('page'));
    await page.fill('#publish [name="data"]', 'from the page');
    await page.click('#publish .primary');
    await waitForRows(page, ALL, 1);
    for (const id of ALL) {
      assert.deepEqual(await rows(page, id), [{ text: 'from the page', late: false }], id);
      assert.match(await page.textContent(`${column(id)} [data-field="delivery"]`), /^at-(most|least)-once/);
    }
    await verdict(page, 'Nothing was lost');
    assert.match(await page.textContent('#reply'), /^200 in \d+ ms · cursor \S+ · id \S+$/);

    await page.click('#publish-20');
    await waitForRows(page, ALL, 21);
    await verdict(page, 'All four have all 21 messages');
    assert.match(await page.textContent('#reply'), /20 stored/);
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test('what was cut comes back with what it missed, marked as caught up', async () => {
    const channel = newChannel('page'), { page, complaints } = await visit(channel);
    await publish(channel, { n: 1 });
    await waitForRows(page, ALL, 1);
    for (const id of ALL) {
      await page.click(`${column(id)} .cut`);
      await page.waitForSelector(`${column(id)}[data-state="cut"]`);
    }
    await publishNumbers(channel, 2, 6);
    for (const id of ALL) await page.click(`${column(id)} .cut`);
    await waitForRows(page, ALL, 6);
    await publish(channel, { n: 7 });
    await waitForRows(page, ALL, 7);
    for (const id of ALL) {
      assert.deepEqual(await rows(page, id), numbers(1, 7).map((n) => ({ text: JSON.stringify({ n }), late: n > 1 && n < 7 })), id);
    }
    await verdict(page, 'All four have all 7 messages');
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test('one that is cut says how far it is behind; the cable cuts all', async () => {
    const channel = newChannel('page'), { page, complaints } = await visit(channel);
    await page.click(`${column('sse')} .cut`);
    await publishNumbers(channel, 1, 3);
    await verdict(page, 'SSE is 3 behind. Reconnect');
    await page.click('#cable');
    await page.waitForFunction(() => document.querySelectorAll('.column[data-state="cut"]').length === 4);
    assert.equal(await page.getAttribute('#cable', 'aria-checked'), 'true');
    await publishNumbers(channel, 4, 5);
    await page.click('#cable');
    await verdict(page, 'All four have all 5 messages');
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test('an event name that nobody announced reaches the EventSource too', async () => {
    const channel = newChannel('page'), { page, complaints } = await visit(channel);
    await publish(channel, { n: 1 }, { event: 'surprise' });
    await publish(channel, { n: 2 });
    await waitForRows(page, ALL, 2);
    assert.deepEqual((await rows(page, 'sse')).map((row) => row.text), ['{"n":1}', '{"n":2}']);
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test('another channel, by its name', async () => {
    const { page } = await visit(newChannel('page'));
    const other = newChannel('other');
    await page.fill('#channel', other);
    await page.press('#channel', 'Enter');
    await page.waitForFunction(() => document.querySelectorAll('.column[data-state="connected"]').length === 4);
    assert.ok((await page.textContent('#commands')).includes(`tidings subscribe ${other}`));
    await publish(other, 'hello', { type: 'text/plain' });
    await waitForRows(page, ALL, 1);

    await page.fill('#channel', 'undeclared:x');
    await page.press('#channel', 'Enter');
    await page.waitForFunction(() => document.querySelectorAll('.column[data-state="refused"]').length === 4);
    assert.ok((await page.textContent('#verdict')).length > 10, 'the problem is said in words');
    await page.close();
  });

  test('fits a phone, a tablet and a desk', async () => {
    const { page } = await visit(newChannel('page'));
    for (const [width, columns] of [[1280, 4], [800, 2], [390, 1]]) {
      await page.setViewportSize({ width, height: 900 });
      const tops = await page.$$eval('.column', (items) => items.map((item) => item.getBoundingClientRect().top));
      assert.equal(tops.filter((top) => top === tops[0]).length, columns, `columns side by side at ${width} px`);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `no sideways scrolling at ${width} px`);
    }
    await page.close();
  });
});
