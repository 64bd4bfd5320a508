// Plain requests through a proxy, over HTTP/1.1 or HTTP/2, with nothing of the SDK.

import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';

const MODULES = { 'http:': http, 'https:': https };

/**
 * Sends a request; calls `onBytes(text)` as the answer arrives. Resolves with {status, headers, text, ms} at its end,
 * rejects where it breaks. `body` is a string, or a function that gets the stream to write to.
 */
export function request(url, { version = 1, method = 'GET', headers = {}, body, onBytes, signal } = {}) {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const seen = { status: 0, headers: {}, text: '' };
    const target = new URL(url);
    let session;
    const fail = (error) => {
      session?.close();
      reject(error);
    };
    const answer = (status, responseHeaders) => Object.assign(seen, { status, headers: responseHeaders });
    const stream = version === 2 ? overTwo() : overOne();
    function overTwo() {
      session = http2.connect(target.origin, { rejectUnauthorized: false });
      session.on('error', fail);
      const one = session.request({ ':method': method, ':path': target.pathname + target.search, ...headers }, { endStream: !body });
      one.on('response', (responseHeaders) => answer(responseHeaders[':status'], responseHeaders));
      read(one);
      return one;
    }
    function overOne() {
      const one = MODULES[target.protocol].request(target, { method, headers, agent: false, rejectUnauthorized: false });
      one.on('response', (response) => {
        answer(response.statusCode, response.headers);
        read(response);
      });
      return one;
    }
    function read(source) {
      source.setEncoding('utf8');
      source.on('data', (text) => {
        seen.text += text;
        onBytes?.(text);
      });
      source.on('end', () => {
        session?.close();
        resolve({ ...seen, ms: performance.now() - began });
      });
      source.on('error', fail);
      source.on('aborted', () => fail(new Error('broken off')));
    }
    stream.on('error', fail);
    signal?.addEventListener('abort', () => {
      stream.destroy();
      session?.destroy();
      fail(new Error('given up'));
    });
    if (typeof body === 'function') body(stream);
    else if (version === 2) { if (body) stream.end(body); } else stream.end(body);
  });
}

/** Whether a server says that it takes WebSockets over HTTP/2 (RFC 8441). */
export function extendedConnect(url) {
  return new Promise((resolve, reject) => {
    const session = http2.connect(url, { rejectUnauthorized: false });
    session.on('error', reject);
    session.once('remoteSettings', ({ enableConnectProtocol }) => {
      session.close();
      resolve(Boolean(enableConnectProtocol));
    });
  });
}
