// The application: it reads one channel through the SDK, and writes down what reaches it.
//
// What it got and the cursor of it are kept together in sessionStorage, as an application would that
// wants to survive a reload: both are written in one turn, so that a reload cannot come in between.

import { Tidings } from '/sdk/tidings.js';

const config = JSON.parse(new URLSearchParams(location.search).get('config'));
const store = {
  get cursor() { return sessionStorage.getItem('cursor'); },
  /** `n@time n@time …` */
  get deliveries() { return sessionStorage.getItem('deliveries') ?? ''; },
  append(name, text) { sessionStorage.setItem(name, (sessionStorage.getItem(name) ?? '') + text); },
};

const options = { url: config.url, ...config.options };
if (config.transports) options.transports = config.transports;
if (config.token) options.token = () => config.token;
const client = new Tidings(options);
client.on('state', (change) => store.append('states', `${JSON.stringify({ at: Date.now(), ...plain(change) })}\n`));

/** Of an object that may hold an Error, what JSON can. */
function plain({ state, transport, reason, retryIn }) {
  const text = reason instanceof Error ? `${reason.name}: ${reason.message}` : typeof reason === 'object' ? JSON.stringify(reason) : reason;
  return { state, transport, reason: text, retryIn };
}

const channel = client.channel(config.channel);
const subscription = channel.subscribe({
  after: store.cursor ?? config.after,
  onMessage(message) {
    store.append('deliveries', `${message.data.n}@${Date.now()} `);
    if (config.keep) sessionStorage.setItem('cursor', message.cursor);
  },
  onGap(gap) { store.append('gaps', `${JSON.stringify(gap)}\n`); },
  onError(error) { store.append('errors', `${error?.code ?? ''} ${error?.message ?? error}\n`); },
});

window.addEventListener('pageshow', ({ persisted }) => { window.restored = persisted; });

const lines = (name) => (sessionStorage.getItem(name) ?? '').split('\n').filter(Boolean);
window.app = {
  client, channel, subscription,
  /** How many came so far. */
  count: () => store.deliveries.split(' ').length - 1,
  report: () => ({
    deliveries: store.deliveries.trim().split(' ').filter(Boolean).map((one) => {
      const [n, at] = one.split('@').map(Number);
      return { n, at };
    }),
    gaps: lines('gaps').map((line) => JSON.parse(line)),
    errors: lines('errors'),
    states: lines('states').map((line) => JSON.parse(line)),
  }),
  /** Publishes {p} for 1 to `count`, `atOnce` at a time, and says how each ended. */
  async publish(count, everyMs) {
    const results = [];
    for (let p = 1; p <= count; p++) {
      results.push(channel.publish({ n: p }).then(
        (stored) => ({ p, stored: stored?.cursor ?? true, at: Date.now() }),
        (error) => ({ p, error: `${error?.code ?? ''} ${error?.message ?? error}`, at: Date.now() }),
      ));
      if (everyMs) await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
    return Promise.all(results);
  },
};
