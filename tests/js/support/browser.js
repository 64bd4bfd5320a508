// A real Chromium, driven by playwright-core (which brings no browser of its own).

import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/usr/bin/google-chrome-stable'];
const executablePath = process.env.CHROMIUM || PLACES.find(existsSync);

/** Why the browser's tests cannot run; in CI they must. */
export const skip = !executablePath && process.env.CI !== 'true' && 'SKIP: no Chromium found; install it, or name it with CHROMIUM=/path/to/chromium';

// A quiet browser: it should talk to the node alone.
const ARGS = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

export const launch = () => chromium.launch({ executablePath, headless: true, args: ARGS });

/** A page and all that it complains of. */
export async function open(browser, url, options = {}) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 }, ...options });
  page.setDefaultTimeout(30_000);
  const complaints = [];
  page.on('console', (line) => ['error', 'warning'].includes(line.type()) && complaints.push(line.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.goto(url);
  return { page, complaints };
}
