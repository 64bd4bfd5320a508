// The box that publishes, and the same from a terminal.

import { channelPath, problemOf } from './transports.js';

export class PublishBox {
  constructor(form, reply) {
    this.form = form;
    this.reply = reply;
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.publish();
    });
    form.elements.data.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    form.querySelector('#publish-20').addEventListener('click', () => this.publishTwenty());
  }

  open(channel) {
    this.channel = channel;
    this.say('');
  }

  publish() {
    const { data, kind } = this.form.elements;
    if (kind.value === 'application/json') {
      try {
        JSON.parse(data.value);
      } catch (fault) {
        return this.say(`This is not JSON: ${fault.message}`, 'bad');
      }
    }
    return this.send(kind.value, data.value, ({ cursor, id }) => `cursor ${cursor} · id ${id}`);
  }

  /** A streaming body: one request, and each line is a message as soon as it arrives. */
  publishTwenty() {
    const { data, kind } = this.form.elements;
    const value = (n) => (kind.value === 'application/json' ? { n, of: 20 } : `${data.value} (${n} of 20)`);
    const lines = Array.from({ length: 20 }, (_, index) => `${JSON.stringify(value(index + 1))}\n`);
    return this.send('application/x-ndjson', lines.join(''), ({ published, cursor }) => `${published} stored · cursor ${cursor}`);
  }

  async send(type, body, words) {
    const event = this.form.elements.event.value.trim();
    const query = event ? `?${new URLSearchParams({ event })}` : '';
    const began = performance.now();
    try {
      const response = await fetch(channelPath(this.channel) + query, {
        method: 'POST',
        // One key for each press: a retry of this request would be stored once.
        headers: { 'Content-Type': type, 'Idempotency-Key': crypto.randomUUID() },
        body,
      });
      if (!response.ok) return this.say(`${response.status}: ${await problemOf(response)}`, 'bad');
      const ms = Math.max(1, Math.round(performance.now() - began));
      this.say(`${response.status} in ${ms} ms · ${words(await response.json())}`);
    } catch {
      this.say('The node cannot be reached. Is it still running?', 'bad');
    }
  }

  say(text, kind = '') {
    this.reply.textContent = text;
    this.reply.className = `mono ${kind}`;
  }
}

/** The commands that do from a terminal what this page does, each with a button that copies it. */
export function showCommands(list, channel) {
  const url = location.origin + channelPath(channel).replaceAll('%3A', ':').replaceAll('%40', '@').replaceAll('%3D', '=');
  // The client's default needs no flag.
  const flag = location.origin === 'http://127.0.0.1:8080' ? '' : ` --url ${location.origin}`;
  const commands = [
    ['Publish', `curl -d 'Hello from a terminal' -H 'Content-Type: text/plain' ${url}`],
    ['Read it live (SSE)', `curl -N -H 'Accept: text/event-stream' ${url}`],
    ['Read what is there (poll)', `curl ${url}`],
    ['Read with the client, which resumes by itself', `tidings subscribe ${channel}${flag}`],
  ];
  list.replaceChildren(...commands.map(([what, command]) => commandRow(what, command)));
}

function commandRow(what, command) {
  const row = document.createElement('li');
  const label = row.appendChild(document.createElement('span'));
  label.textContent = what;
  const code = row.appendChild(document.createElement('code'));
  code.textContent = command;
  const button = row.appendChild(document.createElement('button'));
  button.type = 'button';
  button.textContent = 'Copy';
  button.setAttribute('aria-label', `Copy: ${what}`);
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(command);
    button.textContent = 'Copied';
    setTimeout(() => (button.textContent = 'Copy'), 1500);
  });
  return row;
}
