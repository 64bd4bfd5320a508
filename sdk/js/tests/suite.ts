// One suite for every runtime: Node, Bun, Deno and browsers run these cases against a real node, through a proxy
// that they command (support/harness.js). A case throws where it fails.

import type * as Sdk from '../src/index.js';

export interface Given {
  /** The proxy before the node. */
  url: string;
  /** Where the proxy takes commands. */
  control: string;
  Tidings: typeof Sdk.Tidings;
  TidingsError: typeof Sdk.TidingsError;
  /** Ways that this runtime has. */
  transports: Sdk.TidingsOptions['transports'] & string[];
}

type Case = (given: Given) => Promise<void>;

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const channelName = (namespace = 'open') => `${namespace}:${crypto.randomUUID().slice(0, 8)}`;

function equal(got: unknown, expected: unknown, what: string): void {
  const [a, b] = [JSON.stringify(got), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: expected ${b?.slice(0, 500)}, got ${a?.slice(0, 500)}`);
}

async function until(happened: () => boolean, what: string, ms = 20_000, got?: () => unknown): Promise<void> {
  for (const end = Date.now() + ms; !happened(); await sleep(10))
    if (Date.now() > end)
      throw new Error(`not within ${ms} ms: ${what}${got ? `; got ${JSON.stringify(got()).slice(0, 500)}` : ''}`);
}

async function command(given: Given, what: object): Promise<Record<string, string>> {
  const reply = await fetch(given.control, { method: 'POST', body: JSON.stringify(what) });
  return (await reply.json()) as Record<string, string>;
}

const put = (given: Given, channel: string, data: unknown, more = {}) =>
  command(given, { publish: { channel, data, ...more } });

const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

async function tokenOf(given: Given, claims: object): Promise<string> {
  return (await command(given, { token: claims })).token as string;
}

/** A client that is closed when the case is over, and every gap of which is an error unless it is expected. */
async function withClient(
  given: Given,
  options: Sdk.TidingsOptions,
  act: (client: Sdk.Tidings) => Promise<void>,
): Promise<void> {
  const token = options.token ?? (await tokenOf(given, { sub: 'alice', subscribe: ['*'], publish: ['*'] }));
  const client = new given.Tidings({
    url: given.url,
    transports: given.transports,
    shareTabs: false,
    ...options,
    token,
  });
  try {
    await act(client);
  } finally {
    client.close();
  }
}

/** Publishes numbers at a steady rate while `act` breaks things; each must come once, and in order. */
async function steady(
  given: Given,
  options: Sdk.TidingsOptions,
  count: number,
  act: (client: Sdk.Tidings) => Promise<void>,
): Promise<void> {
  await withClient(given, options, async (client) => {
    const name = channelName();
    const got: number[] = [];
    const gaps: unknown[] = [];
    const subscription = client.channel<{ n: number }>(name).subscribe({
      onMessage: ({ data }) => got.push(data.n),
      onGap: (gap) => gaps.push(gap),
      onError: (error) => gaps.push(String(error)),
    });
    await subscription.ready;
    let stored = 0;
    const publishing = (async () => {
      for (let n = 1; n <= count; n++) {
        await put(given, name, { n });
        stored = n;
        await sleep(15);
      }
    })();
    await act(client);
    await publishing;
    await command(given, { mode: 'pass' });
    const began = Date.now();
    await until(
      () => got.length >= count,
      `${count} messages`,
      60_000,
      () => [stored, got.length, client.state],
    );
    await sleep(200);
    equal(got, range(1, count), 'each once, in order');
    equal(gaps, [], 'no gap');
    console.log(`    caught up ${Date.now() - began} ms after the last publish, on ${client.state.transport}`);
  });
}

const isOn = (client: Sdk.Tidings, transport: string) =>
  client.state.state === 'connected' && client.state.transport === transport;

const onEach = (
  name: string,
  act: (given: Given, transport: 'ws' | 'sse' | 'long-poll' | 'poll') => Promise<void>,
): Record<string, Case> =>
  Object.fromEntries(
    (['ws', 'sse', 'long-poll', 'poll'] as const).map((transport) => [
      `${transport}: ${name}`,
      async (given: Given) => {
        if (given.transports.includes(transport)) await act(given, transport);
        else console.log(`    SKIP: this runtime has no ${transport}`);
      },
    ]),
  );

export const cases: Record<string, Case> = {
  ...onEach('from the beginning, the end, the newest and a cursor, several at once', async (given, transport) => {
    await withClient(given, { transports: [transport] }, async (client) => {
      const channel = client.channel<number>(channelName());
      for (const n of range(1, 5)) await channel.publish(n);
      const starts = { earliest: { after: 'earliest' }, last: { last: 2 }, none: { last: 0 }, latest: {} };
      const got: Record<string, number[]> = { earliest: [], last: [], none: [], latest: [], cursor: [] };
      for (const [name, start] of Object.entries(starts)) {
        channel.subscribe({ ...start, onMessage: ({ data }) => got[name]?.push(data) });
        await sleep(30);
      }
      const { cursor } = await channel.publish(6);
      await until(() => got.earliest?.length === 6, 'all six');
      channel.subscribe({ after: cursor, onMessage: ({ data }) => got.cursor?.push(data) });
      for (const n of range(7, 9)) await channel.publish(n);
      await until(
        () => Object.values(got).every((all) => all.at(-1) === 9),
        'the last everywhere',
        20_000,
        () => got,
      );
      equal(
        got,
        { earliest: range(1, 9), last: range(4, 9), none: range(6, 9), latest: range(6, 9), cursor: range(7, 9) },
        'each from its start',
      );
    });
  }),

  ...onEach('fields, text and bytes arrive as they were published', async (given, transport) => {
    await withClient(given, { transports: [transport] }, async (client) => {
      const got: Sdk.Message[] = [];
      const channel = client.channel(channelName());
      channel.subscribe({ onMessage: (message) => got.push(message) });
      await channel.publish('two\nlines, a \u2028 and an €');
      await channel.publish(null, { event: 'nothing', key: 'k', id: 'mine' });
      await channel.publish(Uint8Array.of(0, 255, 10, 13));
      await put(given, channel.name, undefined, { bytes: [1, 2] });
      await until(() => got.length === 4, 'four messages');
      equal(got[0]?.data, 'two\nlines, a \u2028 and an €', 'text');
      equal(
        [got[1]?.data, got[1]?.event, got[1]?.key, got[1]?.id, got[1]?.from],
        [null, 'nothing', 'k', 'mine', 'alice'],
        'fields',
      );
      equal(Array.from(got[2]?.data as Uint8Array), [0, 255, 10, 13], 'bytes');
      equal(Array.from(got[3]?.data as Uint8Array), [1, 2], 'bytes');
    });
  }),

  ...onEach('a gap is told, with what it needs', async (given, transport) => {
    await withClient(given, { transports: [transport] }, async (client) => {
      const channel = client.channel<number>(channelName('brief'));
      const { cursor } = await channel.publish(0);
      for (const n of range(1, 9)) await channel.publish(n);
      const got: unknown[] = [];
      channel.subscribe({
        after: cursor,
        onMessage: ({ data }) => got.push(data),
        onGap: ({ channel, why, missed }) => got.push({ channel, why, missed }),
      });
      await until(
        () => got.length === 6,
        'a gap and five',
        10_000,
        () => got,
      );
      equal(got, [{ channel: channel.name, why: 'expired', missed: 4 }, 5, 6, 7, 8, 9], 'the gap, then what is kept');
    });
  }),

  ...onEach('the end of a channel', async (given, transport) => {
    await withClient(given, { transports: [transport] }, async (client) => {
      const [one, other] = [client.channel<number>(channelName()), client.channel<number>(channelName())];
      const got: unknown[] = [];
      await other.subscribe({ onMessage: ({ data }) => got.push(data) }).ready;
      const subscription = one.subscribe({
        after: 'earliest',
        onMessage: ({ data }) => got.push(data),
        onEnd: ({ channel }) => got.push(channel),
      });
      await one.publish(1);
      await put(given, one.name, 2, { query: '?close' });
      await until(
        () => got.length === 3,
        'two messages and the end',
        10_000,
        () => got,
      );
      equal([got, subscription.closed], [[1, 2, one.name], true], 'the end comes last');
      await one.publish(3).then(
        () => equal(true, false, 'a publish to a closed channel'),
        (error) => equal(error.code, 'channel-closed', 'its code'),
      );
      one.subscribe({ onEnd: () => got.push('again') });
      await other.publish(4);
      await until(
        () => got.length === 5,
        'the other goes on',
        10_000,
        () => got,
      );
    });
  }),

  ...onEach('a channel that is refused, beside one that is not', async (given, transport) => {
    const token = await tokenOf(given, { sub: 'bob', subscribe: ['closed:yes-*'] });
    await withClient(given, { transports: [transport], token }, async (client) => {
      const errors: string[] = [];
      const got: unknown[] = [];
      const refused = (name: string, after?: string) =>
        client.channel(name).subscribe({ after, onError: (error) => errors.push((error as Sdk.TidingsError).code) });
      const yes = client.channel(`closed:yes-${crypto.randomUUID()}`);
      await yes.subscribe({ onMessage: ({ data }) => got.push(data) }).ready;
      refused('closed:no');
      refused('nowhere:at-all');
      refused('open:a', 'nonsense');
      await until(
        () => errors.length === 3,
        'three refusals',
        10_000,
        () => errors,
      );
      await put(given, yes.name, 1);
      await until(() => got.length === 1, 'a message of the other');
      equal(errors.sort(), ['bad-cursor', 'forbidden', 'unknown-namespace'], 'codes');
      equal(client.state.state, 'connected', 'the client goes on');
    });
  }),

  ...onEach('cut every 300 ms', (given, transport) =>
    steady(given, { transports: [transport] }, 150, () => command(given, { mode: 'cut' }).then(() => sleep(3_000))),
  ),

  'the ladder, cut every 300 ms': (given) =>
    steady(given, {}, 200, () => command(given, { mode: 'cut' }).then(() => sleep(4_000))),

  'the network freezes for 5 s, without a FIN': (given) =>
    steady(given, {}, 200, async () => {
      await sleep(500);
      await command(given, { mode: 'freeze' });
      await sleep(5_000);
      await command(given, { mode: 'pass' });
    }),

  'upgrades are blocked in mid-stream: down to SSE, and up again without a hole': (given) =>
    steady(given, {}, 800, async (client) => {
      await until(() => isOn(client, given.transports[0] as string), 'connected');
      await command(given, { mode: 'no-upgrade' });
      await command(given, { cut: true });
      await until(
        () => isOn(client, 'sse'),
        'on SSE',
        10_000,
        () => client.state,
      );
      await command(given, { mode: 'pass' });
      await until(
        () => isOn(client, given.transports[0] as string),
        'on the best again',
        30_000,
        () => client.state,
      );
    }),

  'a WebSocket that opens and is eaten': (given) =>
    steady(given, {}, 100, async (client) => {
      await until(() => client.state.state === 'connected', 'connected');
      await command(given, { mode: 'eat' });
      await command(given, { cut: true });
      const isDown = () => client.state.state === 'connected' && client.state.transport !== 'ws';
      await until(isDown, 'on another transport', 40_000, () => client.state);
    }),

  'responses are held back until 64 KB: long-poll': (given) =>
    steady(given, {}, 100, async (client) => {
      await command(given, { mode: 'hold' });
      await command(given, { cut: true });
      await until(
        () => isOn(client, 'long-poll'),
        'on long-poll',
        20_000,
        () => client.state,
      );
    }),

  'only short requests come through: poll': async (given) => {
    await withClient(given, {}, async (client) => {
      const channel = client.channel<number>(channelName());
      const got: unknown[] = [];
      const onGap = () => void got.push('gap');
      await channel.subscribe({ onMessage: ({ data }) => got.push(data), onGap }).ready;
      await command(given, { mode: 'short' });
      await command(given, { cut: true });
      let n = 0;
      // Seldom enough for a long request to be held, and cut.
      for (const end = Date.now() + 40_000; !isOn(client, 'poll') && Date.now() < end; await sleep(3_000)) {
        await put(given, channel.name, ++n);
      }
      // Bun sends a request again by itself when its connection is cut, so long-poll works there.
      if (!('Bun' in globalThis)) equal(client.state.transport, 'poll', 'where it ends');
      await until(
        () => got.length === n,
        'all',
        15_000,
        () => [n, got],
      );
      equal(got, range(1, n), 'each once, in order');
    });
  },

  'the node restarts and has forgotten all: a gap, then what is new': async (given) => {
    await withClient(given, {}, async (client) => {
      const channel = client.channel<number>(channelName());
      const got: unknown[] = [];
      await channel.subscribe({ onMessage: ({ data }) => got.push(data), onGap: ({ why }) => got.push(why) }).ready;
      await channel.publish(1);
      await until(() => got.length === 1, 'the first');
      await command(given, { restart: true });
      await channel.publish(2);
      await until(
        () => got.length === 3,
        'a gap and the second',
        30_000,
        () => got,
      );
      equal(got, [1, 'epoch', 2], 'in this order');
    });
  },

  'publishes over cuts: each stored once, in order': async (given) => {
    await withClient(given, {}, async (client) => {
      const channel = client.channel<number>(channelName());
      await command(given, { mode: 'cut' });
      const answers: Promise<Sdk.Published>[] = [];
      for (const n of range(1, 100)) {
        answers.push(channel.publish(n));
        await sleep(20);
      }
      await command(given, { mode: 'pass' });
      const stored = await Promise.all(answers);
      const { messages } = await channel.history({ limit: 1_000 });
      equal(
        messages.map(({ data }) => data),
        range(1, 100),
        'what is stored',
      );
      equal(
        messages.map(({ cursor }) => cursor),
        stored.map(({ cursor }) => cursor),
        'what was answered',
      );
    });
  },

  'a queue that is full says so, and a publish whose outcome is unknown is not sent again': async (given) => {
    await withClient(given, { queue: 2, dedupe: 4_000 }, async (client) => {
      const channel = client.channel<number>(channelName());
      await channel.publish(0);
      await command(given, { mode: 'hole' });
      await sleep(100);
      const codes = await Promise.all(
        range(1, 3).map((n) =>
          channel.publish(n).then(
            () => 'stored',
            (error) => error.code,
          ),
        ),
      );
      equal(codes.sort(), ['queue-full', 'unknown-outcome', 'unknown-outcome'], 'codes');
      await command(given, { mode: 'pass' });
      await command(given, { cut: true });
      await channel.publish(4);
    });
  },

  ...onEach('a token that ends is replaced in time, and one that is refused at once', async (given, transport) => {
    let made = 0;
    const token = () =>
      tokenOf(given, { sub: 'carol', subscribe: ['closed:*'], publish: ['closed:*'], ttl: made++ === 0 ? -10 : 3 });
    await withClient(given, { transports: [transport], token }, async (client) => {
      const states: string[] = [];
      client.on('state', ({ state }) => states.push(state));
      const channel = client.channel<number>(channelName('closed'));
      const got: number[] = [];
      channel.subscribe({ onMessage: ({ data }) => got.push(data) });
      for (const n of range(1, 40)) {
        await channel.publish(n);
        await sleep(150);
      }
      await until(
        () => got.length === 40,
        'all',
        10_000,
        () => [got, states],
      );
      equal(got, range(1, 40), 'each once');
      if (made < 3) throw new Error(`the token was asked for ${made} times`);
    });
  }),

  'a token that is refused for good closes the client, with the code': async (given) => {
    await withClient(given, { token: 'nonsense' }, async (client) => {
      await until(
        () => client.state.state === 'closed',
        'closed',
        10_000,
        () => client.state,
      );
      equal((client.state.reason as Sdk.TidingsError).code, 'bad-token', 'why');
    });
  },

  ...onEach('150 channels', async (given, transport) => {
    await withClient(given, { transports: [transport] }, async (client) => {
      const prefix = channelName();
      const got = new Set<string>();
      const subscriptions = range(1, 150).map((n) =>
        client.channel(`${prefix}-${n}`).subscribe({ onMessage: ({ channel }) => got.add(channel) }),
      );
      await Promise.all(subscriptions.map((one) => one.ready));
      await Promise.all(range(1, 150).map((n) => client.channel(`${prefix}-${n}`).publish(n)));
      await until(
        () => got.size === 150,
        'a message of each',
        20_000,
        () => got.size,
      );
    });
  }),

  'for await: what waits is bounded, and nothing is lost by that': async (given) => {
    await withClient(given, {}, async (client) => {
      const channel = client.channel<number>(channelName());
      await Promise.all(range(1, 60).map((n) => channel.publish(n)));
      const got: number[] = [];
      for await (const { data } of channel.messages({ after: 'earliest', buffer: 4 })) {
        got.push(data);
        if (data < 20) await sleep(5);
        if (data === 60) break;
      }
      equal(got, range(1, 60), 'all, in order');
      const next = channel[Symbol.asyncIterator]().next();
      await sleep(100);
      await channel.publish(61);
      equal((await next).value?.data, 61, 'the next');
    });
  },

  'loadThenFollow: the state, then each change after it': async (given) => {
    await withClient(given, {}, async (client) => {
      const channel = client.channel<number>(channelName());
      const { cursor } = await channel.publish(1);
      await channel.publish(2);
      const got: unknown[] = [];
      const response = () => new Response(JSON.stringify({ sum: 1 }), { headers: { 'Tidings-Cursor': cursor } });
      const following = await channel.loadThenFollow<{ sum: number }>(async () => response(), {
        onSnapshot: ({ sum }) => got.push(`sum ${sum}`),
        onMessage: ({ data }) => got.push(data),
      });
      await channel.publish(3);
      await until(
        () => got.length === 3,
        'the state and two changes',
        10_000,
        () => got,
      );
      equal(got, ['sum 1', 2, 3], 'in order');
      following.unsubscribe();
    });
  },

  ...onEach('presence: who is there, who comes and goes', async (given, transport) => {
    const name = channelName();
    await withClient(given, { transports: [transport] }, async (client) => {
      const changes: Sdk.PresenceChange[] = [];
      await client.channel(name).subscribe({ onPresence: (change) => changes.push(change) }).ready;
      await until(() => client.state.state === 'connected', 'connected');
      const token = await tokenOf(given, { sub: 'dave', info: { name: 'Dave' } });
      await withClient(given, { token, transports: [given.transports[0] as 'ws'] }, async (other) => {
        other.channel(name).subscribe({});
        await until(
          () => changes.at(-1)?.members.some(({ user }) => user === 'dave') === true,
          'dave joins',
          15_000,
          () => changes,
        );
        equal(
          (await other.channel(name).presence()).members.some(({ user }) => user === 'dave'),
          true,
          'asked for',
        );
      });
      await until(
        () => changes.at(-1)?.left.includes('dave') === true,
        'dave leaves',
        25_000,
        () => changes,
      );
    });
  }),

  'max_rate and conflate go on to the server': async (given) => {
    // Pages set their own pace.
    await withClient(given, { transports: [given.transports[0] as 'ws'] }, async (client) => {
      const channel = client.channel<number>(channelName());
      const got: number[] = [];
      await channel.subscribe({ maxRate: 2, conflate: 'key', onMessage: ({ data }) => got.push(data) }).ready;
      await until(() => client.state.state === 'connected', 'connected');
      await sleep(100);
      for (const n of range(1, 20)) await channel.publish(n, { key: 'k' });
      await until(
        () => got.at(-1) === 20,
        'the newest',
        10_000,
        () => got,
      );
      if (got.length > 5) throw new Error(`${got.length} messages came`);
    });
  },
};

/** Cases that take long: run with TIDINGS_SDK_LONG=1. */
const LONG = /poll: presence|sse: presence|: cut every|freezes|blocked in mid|held back|short requests|queue/;
/** The cases that command the network, which the others share: one after the other. */
const ALONE = /cut|freezes|blocked|eaten|held back|short requests|restarts|queue/;
const breaks = (name: string): boolean => ALONE.test(name);

/** Cases that run at once. */
const AT_ONCE = 6;

/** Runs the cases whose names hold `only`, and says how each went. `broken` is another network,
 * for those that break it; or says which of both kinds to run, where a page reaches one network alone. */
export async function run(
  given: Given,
  broken: Partial<Given> & { breaks?: boolean },
  only = '',
  long = false,
  tell: (line: string) => void = console.log,
): Promise<boolean> {
  const chosen = Object.entries(cases).filter(([name]) => name.includes(only) && (long || !LONG.test(name)));
  let failed = 0;
  const one = async ([name, act]: [string, Case], given: Given) => {
    const began = Date.now();
    const error = await act(given).then(
      () => null,
      (thrown) => thrown as Error,
    );
    if (error) failed++;
    tell(`${error ? 'not ok' : 'ok'} ${name} (${Date.now() - began} ms)${error ? `\n    ${error.stack}` : ''}`);
  };
  const quiet = chosen.filter(([name]) => !breaks(name));
  const lane = async (): Promise<void> => {
    for (let entry = quiet.shift(); entry; entry = quiet.shift()) await one(entry, given);
  };
  const alone = async (): Promise<void> => {
    for (const entry of chosen.filter(([name]) => breaks(name))) {
      await one(entry, { ...given, ...broken });
      await command({ ...given, ...broken }, { mode: 'pass' });
    }
  };
  const lanes = broken.breaks === true ? [] : Array.from({ length: AT_ONCE }, lane);
  await Promise.all([...lanes, ...(broken.breaks === false ? [] : [alone()])]);
  return failed === 0;
}
