// What Node, Bun and Deno run:  run.js URL CONTROL URL CONTROL long|short [ONLY], the second network for cases that break it

import { run } from '../../.tests/suite.js';
import { Tidings, TidingsError } from '../../dist/tidings.js';

const [url, control, brokenUrl, brokenControl, long, only] = globalThis.Deno?.args ?? globalThis.process.argv.slice(2);
const transports = ['ws', 'sse', 'long-poll', 'poll'].filter((name) => name !== 'ws' || globalThis.WebSocket);
const broken = { url: brokenUrl, control: brokenControl };
const good = await run({ url, control, Tidings, TidingsError, transports }, broken, only, long === 'long');
(globalThis.Deno?.exit ?? globalThis.process.exit)(good ? 0 : 1);
