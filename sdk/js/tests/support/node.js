// A real node for the tests, in a folder of its own.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../..', import.meta.url));
const PLACES = [process.env.TIDINGS_BIN, `${root}target/debug/tidings`, `${root}target/release/tidings`];

/** The binary, or undefined: then nothing can be tested. */
export const binary = PLACES.find((place) => place && existsSync(place));

export const SECRET = 'a secret of the SDK tests, of 32 bytes and more';
export const API_KEY = 'sk_sdk_tests_0123456789abcdef';

const MEMORY = `
[broker]
kind = "memory"
`;
const CONFIG = `${MEMORY}
[auth]
api_keys = ["${API_KEY}"]
[auth.jwt]
hmac_secret = "${SECRET}"
[namespaces.open]
delivery = "at-least-once"
retain = { messages = 10000, age = "1h" }
presence = true
subscribe = "public"
publish = "user"
[namespaces.brief]
delivery = "at-least-once"
retain = { messages = 5, age = "1h" }
subscribe = "public"
publish = "user"
[namespaces.closed]
delivery = "at-least-once"
subscribe = "token"
publish = "token"
`;

/** A port that nobody has, for a moment. */
const freePort = () =>
  new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

export class Node {
  #child;
  #work;
  #flags;

  /** With `--dev`, as everybody tries it first; else with the namespaces above. */
  static async start(flags = []) {
    const node = new Node();
    node.#flags = flags;
    node.#work = await mkdtemp(join(tmpdir(), 'tidings-sdk-'));
    node.port = await freePort();
    await writeFile(
      join(node.#work, 'tidings.toml'),
      `listen = "127.0.0.1:${node.port}"\n${flags.length ? MEMORY : CONFIG}`,
    );
    await node.run();
    return node;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  async run() {
    const log = [];
    this.#child = spawn(binary, ['serve', ...this.#flags, '--config', 'tidings.toml'], {
      cwd: this.#work,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream.on('data', (text) => log.push(String(text)) > 50 && log.shift());
    for (let i = 0; i < 100; i++) {
      if (
        await fetch(`${this.url}/readyz`)
          .then((reply) => reply.ok)
          .catch(() => false)
      )
        return;
      if (this.#child.exitCode !== null) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`the node was not ready within 10 s:\n${log.join('')}`);
  }

  /** Ends it at once; `run` brings it back. The memory broker forgets all: a new epoch. */
  async kill(signal = 'SIGKILL') {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill(signal);
    await ended;
  }

  async end() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.kill();
    await rm(this.#work, { recursive: true, force: true });
  }
}
