// What all pages have in common.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { accessible, launch, picture, SCREENS, skip, visit } from './browser.js';

describe('every page', { skip }, () => {
  let browser;
  before(async () => {
    browser = await launch();
  });
  after(() => browser?.close());

  for (const name of ['lab', 'advisor', 'dashboard']) {
    for (const [screen, options] of Object.entries(SCREENS)) {
      test(`${name}, ${screen}: no complaint, nothing for axe, a bar that says where one is`, async () => {
        const { page, complaints } = await visit(browser, `/${name}`, options);
        await page.waitForSelector('h1');
        assert.match(await page.title(), /· Tidings$/);
        assert.equal(await page.getAttribute('[aria-current="page"]', 'href'), `/${name}`);
        await accessible(page);
        await picture(page, `${name}-${screen}`);
        assert.deepEqual(complaints, []);
        await page.close();
      });
    }
  }
});
