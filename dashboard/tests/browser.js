// A real Chromium, and what every page is held to: no complaint on its console, nothing that axe finds.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

/** The node under test, a development node. */
export const NODE = (process.env.TIDINGS_URL ?? 'http://127.0.0.1:8080').replace(/\/$/, '');

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const executablePath = process.env.CHROMIUM || PLACES.find(existsSync);

/** Why a page cannot be tested; in CI it must. */
export const skip =
  !executablePath &&
  process.env.CI !== 'true' &&
  'SKIP: no Chromium found; install it, or name it with CHROMIUM=/path/to/chromium';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SHOTS = fileURLToPath(new URL('../../.tests/pages', import.meta.url));

export const launch = () => chromium.launch({ executablePath, headless: true, args: FLAGS });

/** The screens that a page is looked at on. */
export const SCREENS = {
  light: { viewport: { width: 1280, height: 900 }, colorScheme: 'light' },
  dark: { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: 'light', hasTouch: true, isMobile: true },
};

/** A page, and all that its console complains of. */
export async function visit(browser, path, screen = SCREENS.light) {
  // axe is put into the page by the test, which the page's own policy would refuse.
  const page = await browser.newPage({ ...screen, bypassCSP: true });
  page.setDefaultTimeout(20_000);
  const complaints = [];
  page.on('console', (line) => ['error', 'warning'].includes(line.type()) && complaints.push(line.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.goto(NODE + path);
  return { page, complaints };
}

/** Nothing that axe finds, and nothing wider than the screen. */
export async function accessible(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => (await globalThis.axe.run()).violations);
  assert.deepEqual(
    found.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target).join(', ')}`),
    [],
  );
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(over <= 0, `the page is ${over} px wider than the screen`);
}

/** A picture, kept as .tests/pages/NAME.png, to be looked at. */
export async function picture(page, name) {
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true });
}

/** Waits until `happened()` holds, at most `ms`. */
export async function until(happened, what, ms = 15_000) {
  const end = Date.now() + ms;
  while (!(await happened())) {
    if (Date.now() > end) assert.fail(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
