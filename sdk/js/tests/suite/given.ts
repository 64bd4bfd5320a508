// What a case is given, and the words that cases are written in. A case throws where it fails.

import type * as Sdk from '../../src/index.js';

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

export type Case = (given: Given) => Promise<void>;

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
export const channelName = (namespace = 'open') => `${namespace}:${crypto.randomUUID().slice(0, 8)}`;

export function equal(got: unknown, expected: unknown, what: string): void {
  const [a, b] = [JSON.stringify(got), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: expected ${b?.slice(0, 500)}, got ${a?.slice(0, 500)}`);
}

export async function until(happened: () => boolean, what: string, ms = 20_000, got?: () => unknown): Promise<void> {
  for (const end = Date.now() + ms; !happened(); await sleep(10))
    if (Date.now() > end)
      throw new Error(`not within ${ms} ms: ${what}${got ? `; got ${JSON.stringify(got()).slice(0, 500)}` : ''}`);
}

export async function command(given: Given, what: object): Promise<Record<string, string>> {
  const reply = await fetch(given.control, { method: 'POST', body: JSON.stringify(what) });
  return (await reply.json()) as Record<string, string>;
}

export const put = (given: Given, channel: string, data: unknown, more = {}) =>
  command(given, { publish: { channel, data, ...more } });

export const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

export async function tokenOf(given: Given, claims: object): Promise<string> {
  return (await command(given, { token: claims })).token as string;
}

/** A client that is closed when the case is over, and every gap of which is an error unless it is expected. */
export async function withClient(
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
export async function steady(
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

export const isOn = (client: Sdk.Tidings, transport: string) =>
  client.state.state === 'connected' && client.state.transport === transport;

export const onEach = (
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
