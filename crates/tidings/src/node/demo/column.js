// What one reader shows: its state, what it costs, and the messages as they came.

const SHOWN = 100; // rows kept in the page; the log keeps the rest

const STATES = {
  connecting: 'connecting…',
  connected: 'connected',
  reconnecting: 'reconnecting…',
  cut: 'cut',
  refused: 'refused',
};

const WHY = {
  expired: 'They had left the channel before this reader came back: retention removed them.',
  epoch: 'The channel began a new log, so this reader goes on with what that one holds.',
  lagged: 'This channel is at-most-once and keeps a short tail; the reader was away for longer.',
};

const bytes = (n) => (n < 1024 ? `${n} B` : n < 1024 ** 2 ? `${(n / 1024).toFixed(1)} kB` : `${(n / 1024 ** 2).toFixed(1)} MB`);
const span = (ms) => (ms < 1000 ? `${ms} ms` : ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 60_000)} min`);
const shorten = (cursor) => (cursor.length > 22 ? `${cursor.slice(0, 10)}…${cursor.slice(-10)}` : cursor);
const show = ({ data, encoding }) =>
  encoding === 'base64' ? `${data} (base64)` : typeof data === 'string' ? data : JSON.stringify(data);

export class Column {
  /** `kind` is {id, title, how, Reader}; `changed` is called when the page's verdict may have. */
  constructor(template, kind, channel, changed) {
    this.element = template.content.cloneNode(true).firstElementChild;
    this.element.dataset.transport = kind.id;
    this.title = kind.title;
    this.changed = changed;
    this.count = { messages: 0, missed: 0, requests: 0, bytes: 0 };
    // A gap whose size nobody knows: from then on, counts cannot tell what is missing.
    this.uncountable = false;
    // When the reader was last back from being away; what was published before is "caught up".
    this.backAt = 0;

    const heading = this.element.querySelector('h3');
    heading.textContent = kind.title;
    heading.id = `reader-${kind.id}`;
    this.element.setAttribute('aria-labelledby', heading.id);
    this.element.querySelector('.how').textContent = kind.how;
    this.list = this.element.querySelector('.messages');
    this.list.setAttribute('aria-label', `Messages by ${kind.title}`);
    this.button = this.element.querySelector('.cut');
    this.button.addEventListener('click', () => (this.away ? this.reconnect() : this.cut()));

    this.reader = new kind.Reader(channel, {
      state: (state, why) => this.state(state, why),
      message: (message, before) => this.message(message, before),
      gap: (gap) => this.gap(gap),
      cursor: (cursor) => this.cursor(cursor),
      delivery: (delivery) => this.set('delivery', delivery),
      cost: (cost) => this.cost(cost),
    });
  }

  /** How far this reader came from where all began: they can be compared, as all read one order. */
  get passed() { return this.count.messages + this.count.missed; }
  get away() { return this.current === 'cut' || this.current === 'refused'; }

  open({ cursor, delivery }) {
    // Said here once for all: a native EventSource hides its response's Tidings-Delivery header.
    this.set('delivery', delivery);
    this.button.disabled = false; // without a cursor there is nothing to come back to
    this.reader.open(cursor);
  }

  reconnect() { this.reader.open(this.reader.cursor); }
  cut() { this.reader.close(); }

  state(state, why) {
    if (state === 'connected' && this.current !== 'connected' && this.wasAway) {
      // The clocks of node and page are one: a dev node serves its own machine only.
      this.backAt = Date.now();
      this.wasAway = false;
    }
    if (['cut', 'refused', 'reconnecting'].includes(state)) this.wasAway = true;
    if (state === this.current) return;
    this.current = state;
    this.element.dataset.state = state;
    this.element.querySelector('.state').textContent = STATES[state];
    this.button.textContent = this.away ? 'Reconnect' : 'Cut';
    this.button.setAttribute('aria-label', `${this.button.textContent} ${this.title}`);
    if (why) this.row('note', why);
    this.changed();
  }

  message(message, before) {
    this.count.messages++;
    this.set('messages', this.count.messages.toLocaleString());
    const published = Date.parse(message.time);
    const late = published < this.backAt;
    const row = this.row(late ? 'late' : '', show(message));
    row.dataset.cursor = message.cursor;
    const meta = row.appendChild(document.createElement('p'));
    meta.className = 'meta';
    meta.append(`after ${span(Math.max(0, Date.now() - published))}`);
    if (message.event !== 'message') meta.append(' ', badge(message.event, 'event'));
    if (late) meta.append(' ', badge('caught up'));
    this.changed(message, before);
  }

  gap({ why, missed }) {
    this.count.missed += missed ?? 0;
    if (missed === null) this.uncountable = true;
    const what = missed === null ? 'an unknown number of messages' : missed === 1 ? '1 message' : `${missed} messages`;
    this.row('gap', `Gap: ${what} cannot be delivered. ${WHY[why] ?? why}`);
    this.changed();
  }

  cursor(cursor) {
    const field = this.set('cursor', shorten(cursor));
    field.title = cursor;
  }

  cost({ requests, bytes: more }) {
    this.count.requests += requests;
    this.count.bytes += more;
    this.set('requests', this.count.requests.toLocaleString());
    this.set('bytes', bytes(this.count.bytes));
  }

  /** How this reader stands against the one that is furthest. */
  stand(furthest) {
    const behind = this.behind(furthest);
    const { missed } = this.count;
    const lost = this.uncountable ? 'see the gap' : missed ? `${missed} lost, see the gap` : '';
    this.set('standing', behind ? `${behind} behind` : lost || (this.count.messages ? 'has every message' : ''));
    this.element.dataset.behind = behind;
  }

  behind(furthest) { return this.uncountable ? 0 : furthest - this.passed; }

  set(field, text) {
    const element = this.element.querySelector(`[data-field="${field}"]`);
    element.textContent = text;
    return element;
  }

  /** The newest row stands first, so that it is in sight without scrolling. */
  row(kind, text) {
    const row = document.createElement('li');
    row.className = kind;
    const body = row.appendChild(document.createElement('p'));
    body.className = 'data';
    body.textContent = text;
    this.list.prepend(row);
    while (this.list.children.length > SHOWN) this.list.lastElementChild.remove();
    return row;
  }
}

function badge(text, kind = '') {
  const element = document.createElement('b');
  element.className = `badge ${kind}`;
  element.textContent = text;
  return element;
}
