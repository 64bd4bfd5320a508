// A real Chromium, driven by playwright-core (which brings no browser of its own).

import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/usr/bin/google-chrome-stable'];
const executablePath = process.env.CHROMIUM || PLACES.find(existsSync);

// A quiet browser: it should talk to the page's origin and the proxy alone.
const ARGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

launch.ARGS = ARGS;

export function launch(options = {}) {
  if (!executablePath) throw new Error('no Chromium found; install it, or name it with CHROMIUM=/path/to/chromium');
  return chromium.launch({ executablePath, headless: true, args: ARGS, ...options });
}
