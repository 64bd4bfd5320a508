// What a proxy lets through, measured without the SDK.

import WebSocket from 'ws';
import { API_KEY, sleep } from '../rig/node.js';
import { extendedConnect, request } from './client.js';

const KEY = { Authorization: `Bearer ${API_KEY}` };
/** How long a wait may take beyond what is idle by intent. */
const WITHIN_MS = 8_000;

const publish = (base, channel, data) => request(`${base}/v1/channels/${channel}`, {
  method: 'POST', headers: { ...KEY, 'content-type': 'application/json' }, body: JSON.stringify(data),
});

/** Resolves with the milliseconds until `happened()` is true, or null. */
async function until(happened, ms = WITHIN_MS) {
  const began = performance.now();
  while (!happened()) {
    if (performance.now() - began > ms) return null;
    await sleep(5);
  }
  return Math.round(performance.now() - began);
}

/** Each of these says in a few words what it saw; `setup` has {url, node, http, channel, idleMs}. */
export const FACTS = {
  async poll({ url, http, channel }) {
    const { status } = await request(`${url}/v1/channels/${channel}`, { version: http });
    return String(status);
  },

  async SSE({ url, node, http, channel, idleMs }) {
    let text = '';
    const stop = new AbortController();
    const stream = request(`${url}/v1/channels/${channel}-sse`, {
      version: http, headers: { accept: 'text/event-stream' }, onBytes: (more) => { text += more; }, signal: stop.signal,
    }).catch((error) => error.message);
    const first = await until(() => text.includes(': tidings'));
    if (first === null) return `held back (${text.length} bytes came)`;
    await publish(node, `${channel}-sse`, { n: 1 });
    const message = await until(() => text.includes('{"n":1}'));
    const ended = await Promise.race([stream, sleep(idleMs)]);
    await publish(node, `${channel}-sse`, { n: 2 });
    const idle = ended ? null : await until(() => text.includes('{"n":2}'));
    stop.abort();
    return `first bytes ${first} ms, a message ${message} ms, after ${idleMs / 1_000} s idle ${idle === null ? `nothing (${JSON.stringify(ended)?.slice(0, 60)})` : `${idle} ms`}`;
  },

  async WebSocket({ url, node, channel, idleMs }) {
    const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/v1/connect`, 'tidings.v1', { rejectUnauthorized: false });
    const seen = { text: '', error: null, closed: null };
    socket.on('error', (error) => { seen.error = error.message; });
    socket.on('close', (code) => { seen.closed = code; });
    socket.on('open', () => socket.send(JSON.stringify({ id: 1, subscribe: { channel: `${channel}-ws` } })));
    socket.on('message', (data) => {
      seen.text += data;
      if (String(data) === '{}') socket.send('{}');
    });
    const first = await until(() => seen.text.includes('subscribed') || seen.error);
    if (first === null || seen.error) return seen.error ?? 'opens, and nothing comes';
    await publish(node, `${channel}-ws`, { n: 1 });
    const message = await until(() => seen.text.includes('{"n":1}'));
    await until(() => seen.closed !== null, idleMs);
    if (seen.closed === null) await publish(node, `${channel}-ws`, { n: 2 });
    const idle = seen.closed === null ? await until(() => seen.text.includes('{"n":2}')) : null;
    socket.terminate();
    return `subscribed ${first} ms, a message ${message} ms, after ${idleMs / 1_000} s idle ${idle === null ? `closed with ${seen.closed}` : `${idle} ms`}`;
  },

  async 'WebSocket over HTTP/2'({ url, http }) {
    if (http !== 2) return '–';
    return (await extendedConnect(url)) ? 'offered' : 'not offered';
  },

  async 'long-poll'({ url, http, channel, idleMs }) {
    const wait = Math.min(60, idleMs / 1_000);
    const { status, ms } = await request(`${url}/v1/channels/${channel}-quiet?wait=${wait}`, { version: http });
    return `wait=${wait}: ${status} after ${(ms / 1_000).toFixed(1)} s`;
  },

  async 'streaming publish'({ url, node, http, channel }) {
    const stop = new AbortController();
    let stream;
    const reply = request(`${url}/v1/channels/${channel}-stream`, {
      version: http, method: 'POST', headers: { ...lower(KEY), 'content-type': 'application/x-ndjson' }, signal: stop.signal,
      body: (to) => { stream = to; to.write('{"n":1}\n'); },
    });
    const arrived = async () => JSON.parse((await request(`${node}/v1/channels/${channel}-stream`)).text).messages.length;
    await sleep(1_500);
    const early = await arrived();
    stream.end('{"n":2}\n');
    const { status, text } = await reply;
    return `${early ? 'as it arrives' : 'at its end'}, ${status} ${text.slice(0, 14)}`;
  },

  async 'a batch of 2 MB'({ url, http, channel }) {
    const messages = Array.from({ length: 20 }, () => ({ channel: `${channel}-batch`, data: 'x'.repeat(100_000) }));
    const reply = await request(`${url}/v1/publish`, { version: http, method: 'POST', headers: lower(KEY), body: JSON.stringify({ messages }) }).catch((error) => ({ status: error.message }));
    return String(reply.status);
  },
};

const lower = (headers) => Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
