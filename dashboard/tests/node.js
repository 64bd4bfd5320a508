// A node of its own for a test that ends it, or that needs a configuration.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';

const BINARY = process.env.TIDINGS_BIN ?? fileURLToPath(new URL('../../target/debug/tidings', import.meta.url));

/** Starts a node with this configuration on a free port; resolves when it is ready. */
export async function start(configuration) {
  const port = await free();
  const home = mkdtempSync(`${tmpdir()}/tidings-`);
  writeFileSync(`${home}/tidings.toml`, `listen = "127.0.0.1:${port}"\n${configuration}`);
  const child = spawn(BINARY, ['serve', '--config', 'tidings.toml'], { cwd: home, stdio: 'ignore' });
  const ended = new Promise((resolve) => child.on('exit', (code) => resolve(code)));
  const url = `http://127.0.0.1:${port}`;
  for (let tries = 0; ; tries++) {
    const ready = await fetch(`${url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (ready) break;
    if (tries > 200) throw new Error('the node was not ready within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    url,
    /** Resolves with its exit code. */
    ended,
    async stop() {
      child.kill('SIGTERM');
      await ended;
      rmSync(home, { recursive: true });
    },
  };
}

function free() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
