// Serves the page and the SDK under test, from an origin of its own that no fault touches.

import { existsSync, readFileSync } from 'node:fs';
import http from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder with the SDK's tidings.js. */
export const SDK_DIST = process.env.SDK_DIST ?? fileURLToPath(new URL('../../dist', import.meta.url));
export const FAKE_DIST = fileURLToPath(new URL('../fake', import.meta.url));
const PAGE = fileURLToPath(new URL('../page', import.meta.url));
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.map': 'application/json' };

/** `/sdk/…` is of `dist`, all else of the page. */
export async function serve(dist = SDK_DIST) {
  const server = http.createServer((request, response) => {
    const path = normalize(decodeURIComponent(new URL(request.url, 'http://page').pathname));
    const file = path.startsWith('/sdk/') ? join(dist, path.slice(5)) : join(PAGE, path === '/' ? 'index.html' : path);
    if (!existsSync(file)) return response.writeHead(404).end();
    return response.writeHead(200, { 'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream' }).end(readFileSync(file));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
