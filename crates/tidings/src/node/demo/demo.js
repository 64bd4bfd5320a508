// The page: one channel, four readers that begin at the same cursor, and a cable to pull.

import { Column } from './column.js';
import { PublishBox, showCommands } from './publish.js';
import { EventSourceReader, LongPollReader, PollReader, WebSocketReader, channelPath, problemOf } from './transports.js';

const KINDS = [
  { id: 'ws', title: 'WebSocket', how: 'One connection, both ways', Reader: WebSocketReader },
  { id: 'sse', title: 'SSE', how: 'One response that does not end', Reader: EventSourceReader },
  { id: 'long-poll', title: 'Long-poll', how: 'A request that waits up to 25 s', Reader: LongPollReader },
  { id: 'poll', title: 'Poll', how: 'A request when the node says so', Reader: PollReader },
];

const $ = (id) => document.getElementById(id);
const form = $('channel-form');
const publishBox = new PublishBox($('publish'), $('reply'));
let columns = [];
let opening = 0; // counts the channels opened: what an older one still awaits is out of date

async function openChannel(channel) {
  const turn = ++opening;
  for (const column of columns) column.cut();
  form.elements.channel.value = channel;
  history.replaceState(null, '', `?${new URLSearchParams({ channel })}`);
  publishBox.open(channel);
  showCommands($('commands'), channel);
  setCable(false);

  columns = KINDS.map((kind) => new Column($('column-template'), kind, channel, judge));
  $('columns').replaceChildren(...columns.map((column) => column.element));

  // Asked for once, so that all four begin at the same place and can be compared. It also means
  // that a reader which is cut before its first message misses nothing.
  const end = await endOf(channel, () => turn === opening);
  if (end) for (const column of columns) column.open(end);
}

/** The channel's end, {cursor, delivery}; null if there is none, or nobody waits for it any more. */
async function endOf(channel, wanted) {
  while (wanted()) {
    try {
      const response = await fetch(`${channelPath(channel)}?after=latest&limit=1`);
      if (!wanted()) return null;
      if (response.ok) return await response.json();
      const why = await problemOf(response);
      if (response.status < 500) {
        for (const column of columns) column.state('refused');
        say(why, 'bad');
        return null;
      }
      say(`${why} Trying again…`, 'bad');
    } catch {
      say('The node cannot be reached. Trying again…', 'bad');
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
  return null;
}

/** Called after each change: do all readers have all messages? */
function judge(message, before) {
  if (message) columns[1].reader.learn(message.event, before);
  const furthest = Math.max(...columns.map((column) => column.passed));
  for (const column of columns) column.stand(furthest);
  setCable(columns.every((column) => column.away) && columns.some((column) => column.current === 'cut'));

  const behind = columns.filter((column) => column.behind(furthest) > 0);
  const apart = columns.filter((column) => column.current !== 'connected');
  if (furthest === 0) {
    say(apart.length ? '' : 'All four are connected. Publish something.');
  } else if (behind.length) {
    const each = behind.map((column) => `${column.title} is ${column.behind(furthest)} behind`).join(', ');
    const cut = behind.some((column) => column.away);
    const they = behind.length > 1 ? 'they catch up from their cursors' : 'it catches up from its cursor';
    say(`${each}.${cut ? ` Reconnect, and ${they}.` : ''}`);
  } else if (columns.some((column) => column.count.missed || column.uncountable)) {
    say('What could not be delivered is announced as a gap.');
  } else {
    const count = furthest === 1 ? 'the 1 message' : `all ${furthest.toLocaleString()} messages`;
    say(`All four have ${count}. Nothing was lost.`, 'good');
  }
}

function say(text, kind = '') {
  // The same words again would be read aloud again.
  if ($('verdict').textContent !== text) $('verdict').textContent = text;
  $('verdict').className = kind;
}

function setCable(pulled) {
  $('cable').setAttribute('aria-checked', pulled);
}

$('cable').addEventListener('click', () => {
  const pull = $('cable').getAttribute('aria-checked') === 'false';
  for (const column of columns) {
    if (pull && !column.away) column.cut();
    if (!pull && column.away) column.reconnect();
  }
});

form.addEventListener('submit', (event) => {
  event.preventDefault();
  openChannel(form.elements.channel.value.trim());
});

openChannel(new URLSearchParams(location.search).get('channel') || 'demo:lobby');
