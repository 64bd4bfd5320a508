// One reader for each transport, made of clients that know nothing of Tidings.
//
// A reader has `messages` (as objects), `gaps`, and `cursor`: what its transport
// gave it to come back with. open(path, after) resolves once it is sure to get
// what is published from then on.

import { EventSource } from 'eventsource';
import WebSocket from 'ws';
import { NODE, sleep, withQuery } from './node.js';

class Reader {
  messages = [];
  gaps = [];
  cursor = null;

  get numbers() { return this.messages.map((message) => message.data.n); }
}

export class WebSocketReader extends Reader {
  name = 'WebSocket';

  async open(path, after) {
    const several = path.startsWith('/v1/subscribe');
    this.socket = new WebSocket(NODE.replace(/^http/, 'ws') + withQuery(path, { after }));
    await new Promise((resolve, reject) => {
      this.socket.on('error', reject);
      this.socket.on('message', (text) => {
        const frame = JSON.parse(text);
        if (frame.subscribed) {
          this.subscribed = frame.subscribed;
          this.cursor = frame.subscribed.cursor;
          resolve();
        } else if (frame.gap) {
          this.gaps.push(frame.gap);
          this.cursor = frame.cursor;
        } else if ('data' in frame) {
          this.messages.push(frame);
          // Over several channels an item's own cursor is not the connection's: that one follows alone.
          this.cursor = several ? null : frame.cursor;
        } else if (frame.cursor) {
          this.cursor = frame.cursor;
        }
      });
    });
  }

  close() { this.socket.terminate(); }
}

export class EventSourceReader extends Reader {
  name = 'SSE';

  async open(path, after) {
    const several = path.startsWith('/v1/subscribe');
    this.source = new EventSource(NODE + withQuery(path, { after: after ?? undefined }));
    this.source.addEventListener('message', ({ data, lastEventId }) => {
      this.messages.push(several ? JSON.parse(data) : { data: JSON.parse(data) });
      this.cursor = lastEventId;
    });
    this.source.addEventListener('tidings.gap', ({ data, lastEventId }) => {
      this.gaps.push(JSON.parse(data));
      this.cursor = lastEventId;
    });
    await new Promise((resolve, reject) => {
      this.source.addEventListener('open', resolve);
      this.source.addEventListener('error', reject);
    });
  }

  close() { this.source.close(); }
}

class FetchReader extends Reader {
  async open(path, after = 'latest') {
    this.abort = new AbortController();
    this.path = path;
    await this.ask(after, {});
    this.loop();
  }

  async ask(after, query) {
    const response = await fetch(NODE + withQuery(this.path, { after, ...query }), { signal: this.abort.signal });
    const page = await response.json();
    if (response.status !== 200) throw new Error(JSON.stringify(page));
    this.messages.push(...page.messages);
    if (page.gap) this.gaps.push(page.gap);
    this.cursor = page.cursor;
  }

  async loop() {
    try {
      while (!this.abort.signal.aborted) await this.next();
    } catch (fault) {
      if (!this.abort.signal.aborted) throw fault;
    }
  }

  close() { this.abort.abort(); }
}

export class LongPollReader extends FetchReader {
  name = 'long-poll';
  next() { return this.ask(this.cursor, { wait: 20 }); }
}

export class PollReader extends FetchReader {
  name = 'poll';

  async next() {
    await this.ask(this.cursor, {});
    await sleep(30); // sooner than Tidings-Poll-After advises; http.test.js looks at that
  }
}

export const READERS = [WebSocketReader, EventSourceReader, LongPollReader, PollReader];
