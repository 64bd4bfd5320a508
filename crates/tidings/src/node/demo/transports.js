// Four ways to read one channel, behind one small interface:
//
//   const reader = new WebSocketReader(channel, on)
//   reader.open(cursor)   read what follows the cursor, and come back by itself
//   reader.close()        read no more
//
// `on` is told what happens: on.state(name, why), on.message(message, before),
// on.gap(gap), on.cursor(cursor), on.delivery(text), on.cost({requests, bytes}).
// All that a reader must keep is its cursor; another reader could go on from it.

export const channelPath = (channel) => `/v1/channels/${encodeURIComponent(channel)}`;

const sleep = (ms, signal) =>
  new Promise((resolve, reject) => {
    const stop = () => { clearTimeout(timer); reject(signal.reason); };
    const timer = setTimeout(() => { signal.removeEventListener('abort', stop); resolve(); }, ms);
    signal.addEventListener('abort', stop, { once: true });
  });

/** The sentence that a problem reply says, for people. */
export async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  return problem.detail ?? problem.title ?? `the node answered ${response.status}`;
}

/** Old enough cursors are forgotten: a repeat comes soon after the first, or never. */
const REMEMBERED = 2000;

/** Can the same request succeed later, without a change to it? */
const passing = (status) => status === 408 || status === 429 || status >= 500;

class Reader {
  constructor(channel, on) {
    this.channel = channel;
    this.on = on;
    this.cursor = null;
    this.failures = 0;
    this.passed = new Set();
  }

  open(cursor) {
    this.moveTo(cursor);
    this.failures = 0;
    this.abort = new AbortController();
    this.on.state('connecting');
    this.run(this.abort.signal);
  }

  close() {
    this.abort?.abort();
    this.on.state('cut');
  }

  connected() {
    this.failures = 0;
    this.on.state('connected');
  }

  /** Waits before the next attempt; spread, so that many pages do not come back as one. */
  async backOff(signal, atLeast = 0) {
    const most = Math.min(10_000, 250 * 2 ** this.failures++);
    this.on.state('reconnecting');
    await sleep(atLeast + most * (0.5 + Math.random() / 2), signal);
  }

  refused(why) {
    this.on.state('refused', why);
  }

  moveTo(cursor) {
    this.cursor = cursor;
    this.passed.add(cursor);
    if (this.passed.size > REMEMBERED) this.passed.delete(this.passed.values().next().value);
    this.on.cursor(cursor);
  }

  message(message) {
    // "At least once" allows a repeat; the cursor tells that it is one.
    const repeated = this.passed.has(message.cursor);
    const before = this.cursor;
    this.moveTo(message.cursor);
    if (!repeated) this.on.message(message, before);
  }

  gap(gap, cursor) {
    this.moveTo(cursor);
    this.on.gap(gap);
  }

  /** Runs `attempt` until it says that there is no coming back, or the reader is closed. */
  async keepTrying(signal, attempt) {
    while (!signal.aborted) {
      try {
        if ((await attempt(signal)) === 'final') return;
      } catch {
        if (signal.aborted) return;
        await this.backOff(signal).catch(() => {});
      }
    }
  }
}

export class WebSocketReader extends Reader {
  run(signal) {
    this.keepTrying(signal, () => this.connect(signal));
  }

  /** One connection, from its opening to its end. */
  connect(signal) {
    const url = new URL(`${channelPath(this.channel)}?after=${this.cursor}`, location.href);
    url.protocol = url.protocol.replace('http', 'ws');
    const socket = new WebSocket(url);
    this.on.cost({ requests: 1, bytes: 0 });
    return new Promise((resolve, reject) => {
      // Detached first: what still arrives after a cut must not be taken as read.
      signal.addEventListener('abort', () => {
        socket.onmessage = socket.onclose = null;
        socket.close();
        reject(signal.reason);
      }, { once: true });
      socket.onmessage = ({ data }) => this.frame(data);
      socket.onclose = ({ code, reason }) => this.closed(code, reason, signal).then(resolve, reject);
    });
  }

  frame(text) {
    this.on.cost({ requests: 0, bytes: new Blob([text]).size });
    const frame = JSON.parse(text);
    if (frame.subscribed) {
      this.connected();
      this.on.delivery(frame.subscribed.channels[0].delivery);
      this.moveTo(frame.subscribed.cursor);
    } else if (frame.gap) {
      this.gap(frame.gap, frame.cursor);
    } else if ('data' in frame) {
      this.message(frame);
    }
  }

  async closed(code, reason, signal) {
    // 1000 is a limit that was reached and 1009 a frame too large: coming back would not help.
    if (code >= 4500 || code === 1000 || code === 1009) return this.refused(`the node closed the connection (${code}): ${reason}`), 'final';
    if (code >= 4000) {
      // The node says when: it sends everyone away at once when it stops, and not back at once.
      const { retry_ms: wait = 0 } = JSON.parse(reason || '{}');
      await this.backOff(signal, wait);
      return 'again';
    }
    // A refused upgrade looks like a lost connection to a page. The same URL, polled, says what it was.
    const response = await fetch(`${channelPath(this.channel)}?after=latest&limit=1`, { signal });
    this.on.cost({ requests: 1, bytes: 0 });
    if (!response.ok && !passing(response.status)) return this.refused(await problemOf(response)), 'final';
    throw new Error('the connection was lost');
  }
}

export class EventSourceReader extends Reader {
  // A native EventSource hears only the names it was told, so it is told every name that the page meets.
  #names = new Set(['message']);
  #source = null;

  /** Listens for one more event name, that another reader met just after the cursor `before`. */
  learn(name, before) {
    if (this.#names.has(name)) return;
    this.#names.add(name);
    // Such a message may have gone by unheard here. It is still in the log: go back to where it stands.
    // (Where `before` was not passed yet, it lies ahead.)
    if (this.passed.has(before)) this.cursor = before;
    if (this.#source && !this.abort.signal.aborted) this.restart();
  }

  run(signal) {
    this.restart();
    signal.addEventListener('abort', () => this.#source.close(), { once: true });
  }

  restart() {
    this.#source?.close();
    // On /v1/subscribe an event holds the whole message with its time and cursor; on the
    // channel's own URL it holds the data alone.
    const query = new URLSearchParams({ channel: this.channel, after: this.cursor });
    const source = (this.#source = new EventSource(`/v1/subscribe?${query}`));
    this.on.cost({ requests: 1, bytes: 0 });
    source.onopen = () => this.connected();
    // The browser reconnects by itself, with the newest `id:` as its Last-Event-ID.
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) return this.ended(source);
      this.on.state('reconnecting');
      this.on.cost({ requests: 1, bytes: 0 });
    };
    for (const name of this.#names) source.addEventListener(name, (event) => this.event(event));
    source.addEventListener('tidings.gap', (event) => {
      const gap = JSON.parse(event.data);
      this.gap(gap, gap.until);
    });
  }

  event({ data, type, lastEventId }) {
    const framing = 'data: \n\n'.length + (type === 'message' ? 0 : 'event: \n'.length + type.length);
    this.on.cost({ requests: 0, bytes: new Blob([data, `id: ${lastEventId}\n`]).size + framing });
    this.message(JSON.parse(data));
  }

  /** A native EventSource gives up for good at any status but 200; only another request can tell why. */
  async ended(source) {
    const signal = this.abort.signal;
    try {
      const response = await fetch(`${channelPath(this.channel)}?after=latest&limit=1`, { signal });
      this.on.cost({ requests: 1, bytes: 0 });
      if (!response.ok && !passing(response.status)) return this.refused(await problemOf(response));
    } catch { /* unreachable for now: try again below */ }
    await this.backOff(signal).catch(() => {});
    if (!signal.aborted && source === this.#source) this.restart();
  }
}

/** Poll and long-poll are one loop; they differ in what is asked, and in when to ask again. */
class FetchReader extends Reader {
  run(signal) {
    this.keepTrying(signal, () => this.ask(signal));
  }

  async ask(signal) {
    const query = new URLSearchParams({ after: this.cursor, ...this.query() });
    this.on.cost({ requests: 1, bytes: 0 });
    const response = await fetch(`${channelPath(this.channel)}?${query}`, { headers: this.headers(), signal });
    if (response.status !== 304) {
      if (!response.ok) {
        if (passing(response.status)) throw new Error(`the node answered ${response.status}`);
        return this.refused(await problemOf(response)), 'final';
      }
      const text = await response.text();
      this.on.cost({ requests: 0, bytes: new Blob([text]).size });
      this.connected();
      this.page(JSON.parse(text));
    } else {
      this.connected();
    }
    await this.pause(response, signal);
  }

  page({ messages, cursor, gap, delivery }) {
    this.on.delivery(delivery);
    if (gap) this.gap(gap, gap.until);
    for (const message of messages) this.message(message);
    this.moveTo(cursor);
  }
}

export class LongPollReader extends FetchReader {
  // The first request does not wait: it says at once that the node is there, and brings what was missed.
  open(cursor) {
    this.greeted = false;
    super.open(cursor);
  }

  query() { return this.greeted ? { wait: 25 } : {}; }
  headers() { return {}; }
  async pause() { this.greeted = true; }
}

export class PollReader extends FetchReader {
  open(cursor) {
    this.etag = null;
    super.open(cursor);
  }

  query() { return {}; }
  headers() { return this.etag ? { 'If-None-Match': this.etag } : {}; }

  async pause(response, signal) {
    this.etag = response.headers.get('ETag');
    // The node knows how busy the channel is; without its word, a quiet pace.
    const seconds = Number(response.headers.get('Tidings-Poll-After') ?? 5);
    await sleep(seconds * 1000, signal);
  }
}
