// The node under test, and what every test does with it.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

/** A dev node: no credentials, namespaces `default`, `demo` and `durable`. */
export const NODE = (process.env.TIDINGS_URL ?? 'http://127.0.0.1:8080').replace(/\/$/, '');

/** A channel of its own for each test, so that tests do not meet. */
export const newChannel = (name = 'test') => `demo:${name}-${randomUUID().slice(0, 8)}`;

export const channelPath = (channel) => `/v1/channels/${channel}`;
export const subscribePath = (...channels) => `/v1/subscribe?${channels.map((channel) => `channel=${channel}`).join('&')}`;

/** `path` with `after` and what else is not undefined. */
export function withQuery(path, query) {
  const url = new URL(path, NODE);
  for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
  return url.pathname + url.search;
}

export async function publish(channel, data, { event, type = 'application/json' } = {}) {
  const response = await fetch(NODE + withQuery(channelPath(channel), { event }), {
    method: 'POST',
    headers: { 'Content-Type': type },
    body: type === 'application/json' ? JSON.stringify(data) : data,
  });
  const reply = await response.json();
  assert.equal(response.status, 200, `publish was refused: ${JSON.stringify(reply)}`);
  return reply;
}

/** Publishes {n} for each n from `first` up to `last`. */
export async function publishNumbers(channel, first, last, pauseMs = 0) {
  for (let n = first; n <= last; n++) {
    await publish(channel, { n });
    if (pauseMs) await sleep(pauseMs);
  }
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export const numbers = (first, last) => Array.from({ length: last - first + 1 }, (_, index) => first + index);

/** Waits until `happened()` is true; says what was awaited, and what was there instead. */
export async function until(happened, what, { ms = 15_000, instead } = {}) {
  const end = Date.now() + ms;
  while (!(await happened())) {
    if (Date.now() > end) assert.fail(`not within ${ms} ms: ${what}${instead ? `; got ${JSON.stringify(instead())}` : ''}`);
    await sleep(15);
  }
}
