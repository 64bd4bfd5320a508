// A real Chromium, driven by playwright-core (which brings no browser of its own).

import { execFileSync } from 'node:child_process';
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

/** A browser of its own, whose processes can be stopped and go on: a laptop that sleeps and wakes. */
export async function launchOwn(options = {}) {
  const server = await chromium.launchServer({ executablePath, headless: true, args: ARGS, ...options });
  const browser = await chromium.connect(server.wsEndpoint());
  const signal = (name) => { for (const pid of family(server.process().pid)) process.kill(pid, name); };
  return { browser, sleep: () => signal('SIGSTOP'), wake: () => signal('SIGCONT'), close: () => server.close() };
}

/** A process and all that come from it. */
function family(root) {
  const rows = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n').map((row) => row.trim().split(/\s+/).map(Number));
  const all = [root];
  for (const one of all) all.push(...rows.filter(([, parent]) => parent === one).map(([pid]) => pid));
  return all;
}
