// Debian's nginx and HAProxy before a node: with the configuration that Debian ships, and with that of docs/proxies.md.

import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, sleep } from '../rig/node.js';

const DOCUMENT = fileURLToPath(new URL('../../../../docs/proxies.md', import.meta.url));
const READY_WITHIN_MS = 5_000;

/** Why these tests cannot run. */
export const missing = ['/usr/sbin/nginx', '/usr/sbin/haproxy', '/etc/nginx/nginx.conf', '/etc/haproxy/haproxy.cfg'].filter((path) => !existsSync(path));

/** The one block of this language in docs/proxies.md. */
export function documented(language) {
  const blocks = [...readFileSync(DOCUMENT, 'utf8').matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'))];
  if (blocks.length !== 1) throw new Error(`docs/proxies.md has ${blocks.length} blocks of ${language}, not one`);
  return blocks[0][1];
}

/** `text` with each of `changes` made; one that changes nothing is an error, since then another file was meant. */
export function adapt(text, changes) {
  for (const [from, to] of changes) {
    const changed = text.replaceAll(from, to);
    if (changed === text) throw new Error(`the configuration has no ${from}`);
    text = changed;
  }
  return text;
}

/** A certificate for localhost, in `folder`: cert.pem, key.pem, and both.pem. */
function certificate(folder) {
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
    '-keyout', join(folder, 'key.pem'), '-out', join(folder, 'cert.pem')], { stdio: 'ignore' });
  writeFileSync(join(folder, 'both.pem'), readFileSync(join(folder, 'cert.pem'), 'utf8') + readFileSync(join(folder, 'key.pem'), 'utf8'));
}

// Where a process that is not a service writes.
const nginxPlaces = (folder) => [
  ['user www-data;', process.getuid() === 0 ? 'user root;' : ''],
  ['/run/nginx.pid', `${folder}/nginx.pid`],
  ['/var/log/nginx/', `${folder}/`],
  ['http {', `http {\n${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join('\n')}`],
];
const haproxyPlaces = () => [
  [/^\s*(chroot|user|group) .*$/gm, ''],
  [/^\s*log \/dev\/log.*$/gm, ''],
];

/** Debian's own files; what is added is the node, and a certificate where `tls`. */
const stock = {
  nginx: ({ folder, port, node, tls }) => {
    writeFileSync(join(folder, 'site.conf'), `server {
  listen 127.0.0.1:${port}${tls ? ' ssl http2' : ''};
  ${tls ? `ssl_certificate ${folder}/cert.pem; ssl_certificate_key ${folder}/key.pem;` : ''}
  location / { proxy_pass http://127.0.0.1:${node}; }
}`);
    return adapt(readFileSync('/etc/nginx/nginx.conf', 'utf8'), [
      ...nginxPlaces(folder),
      ['include /etc/nginx/conf.d/*.conf;', ''],
      ['include /etc/nginx/sites-enabled/*;', `include ${folder}/site.conf;`],
    ]);
  },
  haproxy: ({ folder, port, node, tls }) => `${adapt(readFileSync('/etc/haproxy/haproxy.cfg', 'utf8'), [
    ...haproxyPlaces(), [/^\s*(stats socket|daemon).*$/gm, ''],
  ])}
frontend page
  bind 127.0.0.1:${port}${tls ? ` ssl crt ${folder}/both.pem alpn h2,http/1.1` : ''}
  default_backend node
backend node
  server node 127.0.0.1:${node}
`,
};

/** The files of docs/proxies.md. */
const tuned = {
  nginx: ({ folder, port, node }) => adapt(documented('nginx'), [
    ...nginxPlaces(folder), ['listen 443', `listen 127.0.0.1:${port}`], ['127.0.0.1:8080', `127.0.0.1:${node}`], ['/etc/ssl/tidings/', `${folder}/`],
  ]),
  haproxy: ({ folder, port, node }) => adapt(documented('haproxy'), [
    ...haproxyPlaces(), ['bind :443', `bind 127.0.0.1:${port}`], ['127.0.0.1:8080', `127.0.0.1:${node}`], ['/etc/ssl/tidings/', `${folder}/`],
  ]),
};

const commands = {
  nginx: (folder, file) => ['/usr/sbin/nginx', ['-p', folder, '-c', file, '-e', join(folder, 'error.log'), '-g', 'daemon off;']],
  haproxy: (_, file) => ['/usr/sbin/haproxy', ['-db', '-f', file]],
};

/** All that is looked at. `http` is the version that the browser speaks. */
export const SETUPS = ['nginx', 'haproxy'].flatMap((proxy) => ['stock', 'tuned'].flatMap((kind) => [1, 2].map((http) => (
  // The tuned files have TLS, and the stock ones where HTTP/2 wants it.
  { name: `${proxy} ${kind}, HTTP/${http === 1 ? '1.1' : '2'}`, proxy, kind, http, tls: kind === 'tuned' || http === 2 }
))));

/** Starts the proxy of `setup` before the node at `nodeUrl`; resolves when it listens. */
export async function start(setup, nodeUrl) {
  const folder = mkdtempSync(join(tmpdir(), `tidings-${setup.proxy}-`));
  certificate(folder);
  mkdirSync(join(folder, 'logs'));
  const port = await freePort();
  const text = { stock, tuned }[setup.kind][setup.proxy]({ folder, port, node: new URL(nodeUrl).port, tls: setup.tls });
  const file = join(folder, 'proxy.conf');
  writeFileSync(file, text);
  const [command, argv] = commands[setup.proxy](folder, file);
  const child = spawn(command, argv, { stdio: ['ignore', 'ignore', 'pipe'] });
  let complaint = '';
  child.stderr.on('data', (bytes) => { complaint += bytes; });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await listening(port, () => child.exitCode === null, () => complaint);
  return {
    url: `${setup.tls ? 'https' : 'http'}://127.0.0.1:${port}`,
    async stop() {
      child.kill('SIGTERM');
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function listening(port, alive, complaint) {
  for (const end = Date.now() + READY_WITHIN_MS; Date.now() < end && alive(); await sleep(30)) {
    const open = await new Promise((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => {
        resolve(true);
        socket.destroy();
      });
      socket.on('error', () => resolve(false));
    });
    if (open) return;
  }
  throw new Error(`the proxy does not listen: ${complaint()}`);
}
