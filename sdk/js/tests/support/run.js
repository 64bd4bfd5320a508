// What Node, Bun and Deno run:  run.js URL CONTROL [ONLY]

import { run } from '../../.tests/suite.js';
import { Tidings, TidingsError } from '../../dist/tidings.js';

const args = globalThis.Deno?.args ?? globalThis.process.argv.slice(2);
const transports = ['ws', 'sse', 'long-poll', 'poll'].filter((name) => name !== 'ws' || globalThis.WebSocket);
const good = await run({ url: args[0], control: args[1], Tidings, TidingsError, transports }, args[2]);
(globalThis.Deno?.exit ?? globalThis.process.exit)(good ? 0 : 1);
