// Not the SDK: the least that has its shape, over the browser's own EventSource, and with faults on
// demand. The runner is proven with it: a check that cannot fail proves nothing.
//
// `faults`: `lose`, `twice` and `swap` are one in so many messages; `forget` resumes at `latest`.

export class Tidings {
  #options;
  #listeners = [];

  constructor(options) { this.#options = options; }
  on(_, listener) { this.#listeners.push(listener); }
  channel(name) { return { subscribe: (asked) => this.#subscribe(name, asked) }; }

  #say(state, reason) {
    for (const listener of this.#listeners) listener({ state, transport: 'sse', reason });
  }

  #subscribe(name, { after = 'latest', onMessage, onGap }) {
    const faults = this.#options.faults ?? {};
    let count = 0;
    let kept = null;
    const deliver = (message) => {
      count++;
      if (faults.lose && count % faults.lose === 0) return;
      if (faults.swap && count % faults.swap === 0 && !kept) {
        kept = message;
        return;
      }
      onMessage(message);
      if (faults.twice && count % faults.twice === 0) onMessage(message);
      if (kept) onMessage(kept);
      kept = null;
    };
    const open = (from) => {
      const source = new EventSource(`${this.#options.url}/v1/channels/${name}?after=${from}`);
      let last = from;
      source.onopen = () => this.#say('connected');
      source.onerror = () => {
        this.#say('waiting', 'error');
        // A native EventSource gives up for good at any status but 200, and on some networks at once.
        if (!faults.forget && source.readyState !== 2) return;
        source.close();
        setTimeout(() => open(faults.forget ? 'latest' : last), 100);
      };
      source.onmessage = ({ data, lastEventId }) => {
        last = lastEventId;
        deliver({ data: JSON.parse(data), cursor: lastEventId });
      };
      source.addEventListener('tidings.gap', ({ data }) => onGap(JSON.parse(data)));
    };
    open(after);
    return {};
  }
}
