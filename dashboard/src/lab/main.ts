import '../style/base.css';
import './lab.css';
import { byId, fill, h } from '../dom';
import { Card, write } from './card';
import { claims } from './claims';
import { now } from './clock';
import { controls } from './controls';
import { Lab } from './lab';
import { latencyPlot, points } from './latencies';
import { picture } from './picture';
import { fileName, report, save } from './report';
import { health, TITLES } from './words';

/** How often the page is drawn: numbers that change faster are not read. */
const DRAW_MS = 500;

const lanesHome = h('div', { class: 'lanes' }, h('p', { class: 'quiet' }, 'The lanes are being opened.'));
const plotHome = h('div', { class: 'plot' });
const verdict = h('p', { role: 'status', class: 'verdict' });
const trouble = h('p', { role: 'alert', class: 'notice', hidden: true });
const claimRows = h('tbody', {});
let cards: Card[] = [];

const lab = new Lab((lanes) => {
  cards = lanes.map((lane) => new Card(lane));
  fill(lanesHome, ...cards.map((card) => card.element));
});
const tell = (words: string) => {
  trouble.hidden = words === '';
  write(trouble, words);
};
const set = controls(lab, tell, () => lab.begin());
const plot = latencyPlot(plotHome);

fill(
  byId('main'),
  h(
    'header',
    { class: 'head' },
    h(
      'div',
      {},
      h('h1', {}, 'Lab'),
      h(
        'p',
        { class: 'lead' },
        'One channel, read on four transports at once, each through a cable of its own. Set the pace, cut the cable, and see what each of them costs.',
      ),
    ),
    h(
      'div',
      { class: 'row' },
      h('button', { type: 'button', onclick: saveNumbers }, 'Export JSON'),
      h('button', { type: 'button', onclick: savePicture }, 'Export picture'),
    ),
  ),
  set.element,
  trouble,
  h(
    'section',
    { class: 'card', 'aria-labelledby': 'latency-title' },
    h('div', { class: 'row between' }, h('h2', { id: 'latency-title' }, 'Latency, publish → shown'), verdict),
    plotHome,
  ),
  h('section', { 'aria-label': 'Lanes' }, lanesHome),
  h(
    'section',
    { class: 'card', 'aria-labelledby': 'claims-title' },
    h('h2', { id: 'claims-title' }, 'What is said, and what was measured here'),
    h(
      'table',
      { class: 'claims' },
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          h('th', { scope: 'col' }, 'It is said'),
          h('th', { scope: 'col' }, 'Measured here'),
          h('th', { scope: 'col' }, 'So'),
        ),
      ),
      claimRows,
    ),
  ),
  h(
    'p',
    { class: 'quiet note' },
    'Bytes are those that TCP carried between this browser and the node, heads and frames included. All clocks are this machine’s. Latency counts from the moment the publisher sets out, so it holds the write to disk.',
  ),
);

function draw(): void {
  for (const card of cards) card.show(lab);
  set.show();
  write(verdict, said());
  plot.show(points(lab.lanes, now()));
  drawClaims();
}

/** One sentence for all lanes: it is what a screen reader is told of. */
function said(): string {
  if (lab.trouble) return lab.trouble;
  const bad = lab.lanes.filter((lane) => !health(lane, lab).reads);
  const lost = lab.lanes.reduce((sum, lane) => sum + lane.tally.lost, 0);
  const losses = lost === 0 ? 'nothing is lost' : `${lost} lost`;
  if (bad.length === 0) return `All four lanes read, ${losses}.`;
  return `Nothing arrives over ${bad.map(({ name }) => TITLES[name]).join(', ')}; ${losses}.`;
}

function drawClaims(): void {
  const all = claims(lab);
  if (claimRows.children.length !== all.length)
    fill(
      claimRows,
      ...all.map(({ id, claim }) =>
        h('tr', { 'data-claim': id }, h('th', { scope: 'row' }, claim), h('td', {}), h('td', {})),
      ),
    );
  for (const [index, { measured, verdict }] of all.entries()) {
    const [, words, so] = claimRows.children[index]?.children ?? [];
    if (!words || !so) continue;
    write(words, measured);
    write(so, verdict === 'open' ? '…' : verdict);
    so.className = verdict === 'holds' ? 'good' : verdict === 'open' ? 'quiet' : 'warn';
  }
}

function saveNumbers(): void {
  save(`${fileName()}.json`, new Blob([JSON.stringify(report(lab), null, 1)], { type: 'application/json' }));
}

async function savePicture(): Promise<void> {
  try {
    save(`${fileName()}.png`, await picture(lab, plot.canvas));
  } catch (error) {
    tell(error instanceof Error ? error.message : String(error));
  }
}

lab.begin();
draw();
setInterval(draw, DRAW_MS);
