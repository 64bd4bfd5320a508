// The lab as a picture: drawn from the numbers, in the colours of the page, at twice the size for sharp text.

import { amount, bytes, milliseconds } from '../words';
import { claims, overheadOf } from './claims';
import { now } from './clock';
import type { Lab } from './lab';
import { quantiles } from './tally';
import { TITLES } from './words';

const WIDTH = 1200;
const PAD = 48;
const SCALE = 2;
const ROW = 30;
const PLOT = 230;

export async function picture(lab: Lab, plot: HTMLCanvasElement | undefined): Promise<Blob> {
  const style = getComputedStyle(document.documentElement);
  const color = (name: string) => style.getPropertyValue(name).trim();
  const said = claims(lab);
  const canvas = document.createElement('canvas');
  const height = 190 + PLOT + ROW * (lab.lanes.length + 2) + said.length * 52 + 40;
  canvas.width = WIDTH * SCALE;
  canvas.height = height * SCALE;
  const pen = canvas.getContext('2d');
  if (!pen) throw new Error('this browser draws no picture');
  pen.scale(SCALE, SCALE);
  const sans = getComputedStyle(document.body).fontFamily;
  const text = (words: string, x: number, y: number, how: { ink?: string; font?: string; right?: boolean } = {}) => {
    pen.font = how.font ?? `15px ${sans}`;
    pen.fillStyle = color(how.ink ?? '--ink');
    pen.textAlign = how.right ? 'right' : 'left';
    pen.fillText(words, x, y);
  };
  const rule = (y: number) => {
    pen.fillStyle = color('--line');
    pen.fillRect(PAD, y, WIDTH - 2 * PAD, 1);
  };
  pen.fillStyle = color('--ground');
  pen.fillRect(0, 0, WIDTH, height);
  const { rate, bytes: size, intervalMs, fallback } = lab.settings;
  text('Tidings lab', PAD, 72, { font: '600 30px ui-serif, Georgia, "Liberation Serif", serif' });
  text(
    `${rate} messages a second of ${bytes(size)}, polled each ${milliseconds(intervalMs)}${fallback ? ', lanes may fall back' : ''}. Latency: publish → shown.`,
    PAD,
    102,
    { ink: '--quiet' },
  );
  let y = 130;
  if (plot) {
    const wide = WIDTH - 2 * PAD;
    pen.drawImage(plot, PAD, y, wide, Math.min(PLOT, (plot.height / plot.width) * wide));
  }
  y += PLOT + 10;
  y = lanes(lab, y, text, rule, color, pen);
  y += 34;
  for (const { claim, measured, verdict } of said) {
    text(claim, PAD, y, { font: `600 15px ${sans}` });
    text(verdict, WIDTH - PAD, y, { ink: '--quiet', right: true });
    text(clipped(pen, measured, WIDTH - 2 * PAD), PAD, y + 21, { ink: '--quiet', font: `14px ${sans}` });
    y += 52;
  }
  text(`${new Date().toISOString().slice(0, 19).replace('T', ' ')} UTC`, PAD, height - 34, {
    ink: '--quiet',
    font: `13px ${sans}`,
  });
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('this browser makes no PNG'))), 'image/png');
  });
}

type Text = (words: string, x: number, y: number, how?: { ink?: string; font?: string; right?: boolean }) => void;

/** One line a lane, the numbers under each other. */
function lanes(
  lab: Lab,
  top: number,
  text: Text,
  rule: (y: number) => void,
  color: (name: string) => string,
  pen: CanvasRenderingContext2D,
): number {
  const heads = [
    'p50',
    'p99',
    'messages',
    'lost',
    'duplicated',
    'requests',
    'empty',
    'on the wire',
    'overhead',
    'held',
  ];
  const right = (index: number) => 290 + index * 96;
  let y = top;
  for (const [index, head] of heads.entries()) text(head, right(index), y, { ink: '--quiet', right: true });
  rule(y + 10);
  for (const lane of lab.lanes) {
    y += ROW;
    pen.fillStyle = color(`--${lane.name}`);
    pen.fillRect(PAD, y - 10, 10, 10);
    text(TITLES[lane.name], PAD + 20, y);
    const { total, counts, tally } = lane;
    const latency = quantiles(tally.recent(now()));
    const extra = overheadOf(counts);
    const values = [
      latency ? milliseconds(latency.p50) : '–',
      latency ? milliseconds(latency.p99) : '–',
      amount(total.messages),
      amount(tally.lost),
      amount(tally.duplicated),
      amount(total.requests),
      counts.answers > 0 ? `${((counts.empty / counts.answers) * 100).toFixed(0)} %` : '–',
      bytes(total.up + total.down),
      extra === undefined ? '–' : bytes(extra),
      String(lane.held),
    ];
    for (const [index, value] of values.entries()) text(value, right(index), y, { right: true });
    rule(y + 10);
  }
  return y + 20;
}

function clipped(pen: CanvasRenderingContext2D, words: string, width: number): string {
  let text = words;
  while (text.length > 8 && pen.measureText(text).width > width)
    text = `${text.slice(0, -2).trimEnd()}…`.replace('……', '…');
  return text;
}
