// A node of the real binary, which a test can kill.

import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync, openSync, closeSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** For the node's own publisher. */
export const API_KEY = 'sk_faults_5c1f0a8be2d94773ffee';
const HMAC_SECRET = 'the secret of a node that lives for a test';
const BINARY = process.env.TIDINGS_BIN ?? fileURLToPath(new URL('../../../../target/debug/tidings', import.meta.url));
const READY_WITHIN_MS = 10_000;

// `open` may be read by anybody, and written by whoever has a token; `fleeting` promises less.
const configuration = (port, broker, more) => `
listen = "127.0.0.1:${port}"
[broker]
kind = "${broker}"
${broker === 'disk' ? 'path = "data"' : ''}
[auth]
api_keys = ["${API_KEY}"]
[auth.jwt]
hmac_secret = "${HMAC_SECRET}"
[namespaces.open]
delivery = "at-least-once"
retain = { messages = 10000, age = "1h" }
subscribe = "public"
publish = "user"
[namespaces.brief]
delivery = "at-least-once"
retain = { messages = 100, age = "1h" }
subscribe = "public"
[namespaces.fleeting]
delivery = "at-most-once"
subscribe = "public"
${more}
`;

const base64url = (value) => Buffer.from(value).toString('base64url');

/** A token for `user`, good for `ttlSeconds`. */
export function token(user, ttlSeconds = 3_600) {
  const now = Math.floor(Date.now() / 1_000);
  const claims = { sub: user, iat: now, exp: now + ttlSeconds, tidings: { subscribe: ['open:*'], publish: ['open:*'], info: { name: user } } };
  const signed = `${base64url(JSON.stringify({ alg: 'HS256', typ: 'JWT' }))}.${base64url(JSON.stringify(claims))}`;
  return `${signed}.${createHmac('sha256', HMAC_SECRET).update(signed).digest('base64url')}`;
}

/** A port that was free a moment ago. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Node {
  #process = null;
  #ended = null;

  /** `broker` is 'memory' or 'disk'; `more` is further TOML. */
  static async start({ broker = 'memory', more = '' } = {}) {
    if (!existsSync(BINARY)) throw new Error(`no binary of the node at ${BINARY}: build it, or name it with TIDINGS_BIN`);
    const node = new Node();
    node.folder = mkdtempSync(join(tmpdir(), 'tidings-faults-'));
    node.port = await freePort();
    writeFileSync(join(node.folder, 'tidings.toml'), configuration(node.port, broker, more));
    await node.up();
    return node;
  }

  get url() { return `http://127.0.0.1:${this.port}`; }
  get log() { return readFileSync(join(this.folder, 'node.log'), 'utf8'); }

  /** Starts the process, with the same folder and port, and waits until it is ready. */
  async up() {
    const log = openSync(join(this.folder, 'node.log'), 'a');
    this.#process = spawn(BINARY, ['serve', '--config', 'tidings.toml'], { cwd: this.folder, stdio: ['ignore', log, log] });
    closeSync(log);
    this.#ended = new Promise((resolve) => this.#process.once('exit', resolve));
    const end = Date.now() + READY_WITHIN_MS;
    while (Date.now() < end && this.#process.exitCode === null) {
      const ready = await fetch(`${this.url}/readyz`).catch(() => null);
      if (ready?.ok) return;
      await sleep(20);
    }
    throw new Error(`the node was not ready within ${READY_WITHIN_MS} ms: ${this.log}`);
  }

  /** kill -9. */
  async kill() {
    this.#process.kill('SIGKILL');
    await this.#ended;
  }

  /** SIGTERM, and the end that the node takes its time for. */
  async drain() {
    this.#process.kill('SIGTERM');
    await this.#ended;
  }

  async stop() {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
