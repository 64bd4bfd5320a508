// A plot over time, in the colours of the page.

import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';

/** One line of a plot. */
export interface Line {
  /** What it is called in the legend. */
  label: string;
  /** A custom property of the style sheet, as `--ws`. */
  color: string;
  /** A value as the legend and the axis write it. */
  words: (value: number) => string;
  /** Points without a line, where each is a measurement of its own. */
  points?: boolean;
}

/** What a plot is of. */
export interface Terms {
  /** What a person who does not see it is told; the numbers stand elsewhere on the page, too. */
  label: string;
  lines: Line[];
  height: number;
  /** Whether the vertical axis is logarithmic. */
  logarithmic?: boolean;
  /** Where the vertical axis ends at least, if it is not; 1 where it is not said. */
  least?: number;
}

/** Times in seconds since the epoch, then the values of each line; null where there is none. */
export type Points = [number[], ...(number | null)[][]];

/** A plot that fills the width of `home`, follows it, and follows the colour scheme. */
export class Plot {
  readonly #home: HTMLElement;
  readonly #terms: Terms;
  #plot: uPlot | undefined;
  #points: Points;

  constructor(home: HTMLElement, terms: Terms) {
    this.#home = home;
    this.#terms = terms;
    this.#points = [[], ...terms.lines.map(() => [])];
    home.setAttribute('role', 'img');
    home.setAttribute('aria-label', terms.label);
    new ResizeObserver(() => this.#resize()).observe(home);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#draw());
  }

  /** Shows these points in the place of the last ones. */
  show(points: Points): void {
    this.#points = points;
    if (this.#plot) this.#plot.setData(points as uPlot.AlignedData);
    else this.#draw();
  }

  /** The picture as it is now, to be put into another. */
  get canvas(): HTMLCanvasElement | undefined {
    return this.#plot?.ctx.canvas;
  }

  #resize(): void {
    const width = this.#home.clientWidth;
    if (width > 0 && this.#plot && this.#plot.width !== width) {
      this.#plot.setSize({ width, height: this.#terms.height });
    } else if (!this.#plot) this.#draw();
  }

  #draw(): void {
    const width = this.#home.clientWidth;
    if (width === 0) return;
    this.#plot?.destroy();
    const style = getComputedStyle(this.#home);
    const color = (name: string) => style.getPropertyValue(name).trim();
    const axis = { stroke: color('--quiet'), grid: { stroke: color('--line'), width: 1 }, ticks: { show: false } };
    const words = this.#terms.lines[0]?.words ?? String;
    const least = this.#terms.least ?? 1;
    this.#plot = new uPlot(
      {
        width,
        height: this.#terms.height,
        cursor: { y: false, points: { size: 7 } },
        legend: { live: true },
        scales: {
          y: this.#terms.logarithmic
            ? { distr: 3 }
            : { range: (_plot, _low, high) => [0, Math.max(high * 1.1, least)] },
        },
        axes: [
          {
            ...axis,
            space: 70,
            size: 28,
            values: (_plot, values, _axis, _space, step) => values.map((at) => clock(at, step)),
          },
          {
            ...axis,
            // Of a logarithmic axis the powers of ten: all of its lines would be a wall.
            ...(this.#terms.logarithmic && { grid: { ...axis.grid, filter: powersOfTen }, filter: powersOfTen }),
            size: 68,
            space: 26,
            values: (_plot, values) => values.map((value) => (value == null ? '' : words(value))),
          },
        ],
        series: [
          { value: (_plot, value) => (value == null ? '–' : clockTime(value)) },
          ...this.#terms.lines.map((line) => ({
            label: line.label,
            stroke: color(line.color),
            width: 1.5,
            spanGaps: false,
            value: (_plot: uPlot, value: number | null) => (value == null ? '–' : line.words(value)),
            ...(line.points
              ? { paths: () => null, points: { show: true, size: 5, fill: color(line.color) } }
              : { points: { show: false } }),
          })),
        ],
      },
      this.#points as uPlot.AlignedData,
      this.#home,
    );
  }
}

/** A time as the axis writes it: seconds where its steps are shorter than a minute. */
function clock(at: number, step: number): string {
  const seconds = step < 60 ? ({ second: '2-digit' } as const) : {};
  return new Date(at * 1000).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit', ...seconds });
}

/** `14:05:59`, of seconds since the epoch. */
const clockTime = (seconds: number): string => new Date(seconds * 1000).toLocaleTimeString('en-GB');

const powersOfTen = (_plot: uPlot, values: number[]): (number | null)[] =>
  values.map((value) => (Number.isInteger(Math.round(Math.log10(value) * 1e6) / 1e6) ? value : null));
