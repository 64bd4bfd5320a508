// What the SDK does behind a proxy, in a browser.

import { API_KEY, sleep, token } from '../rig/node.js';
import { walked } from '../rig/world.js';
import { request } from './client.js';

const WITHIN_MS = 30_000;

/** Opens a page behind `url`, and says where the ladder came to, how long that took, and whether it stays when idle. */
export async function ladder(browser, { url, node, statics, channel, idleMs, transports }) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  try {
    const page = await context.newPage();
    const config = { url, channel, transports, after: 'earliest', token: token('alice') };
    const publish = (n) => request(`${node}/v1/channels/${channel}`, {
      method: 'POST', headers: { Authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' }, body: JSON.stringify({ n }),
    });
    await publish(1);
    const began = Date.now();
    await page.goto(`${statics}/?config=${encodeURIComponent(JSON.stringify(config))}`);
    const count = (n) => page.waitForFunction(`window.app?.count() >= ${n}`, null, { timeout: WITHIN_MS, polling: 20 }).then(() => true, () => false);
    const came = await count(1);
    const firstMs = came ? (await page.evaluate('window.app.report()')).deliveries[0].at - began : null;
    await sleep(3_000); // it may climb at once
    const before = (await page.evaluate('window.app.report()')).states.length;
    await sleep(idleMs);
    const sent = Date.now();
    await publish(2);
    await count(2);
    const { deliveries, states } = await page.evaluate('window.app.report()');
    const last = states.findLast(({ state }) => state === 'connected')?.transport ?? 'none';
    return {
      transport: last, firstMs, walked: walked(states), idleChanges: states.slice(before).map(({ state, transport, reason }) => [state, transport, reason].join(' ')),
      messageMs: deliveries.length > 1 ? deliveries[1].at - sent : null, got: deliveries.map(({ n }) => n), states,
    };
  } finally {
    await context.close();
  }
}
