// Quantities as a person types them, and the steps of the sliders beside them.

/** A kind of quantity: how it is read, how it is written, and where its slider stops. */
export interface Quantity {
  /** The value of a text, or undefined where it is none. */
  parse: (text: string) => number | undefined;
  /** A value as it stands in the field, in the address and on the command line. */
  format: (value: number) => string;
  /** A value for a person who listens. */
  words: (value: number) => string;
  steps: readonly number[];
}

const SECONDS: Record<string, number> = {
  ms: 0.001,
  s: 1,
  sec: 1,
  m: 60,
  min: 60,
  h: 3600,
  hour: 3600,
  d: 86_400,
  day: 86_400,
};
const NAMES = [
  { unit: 'd', seconds: 86_400, name: 'day' },
  { unit: 'h', seconds: 3600, name: 'hour' },
  { unit: 'm', seconds: 60, name: 'minute' },
  { unit: 's', seconds: 1, name: 'second' },
] as const;

/** A time: `500ms`, `2s`, `1m 30s`, `1d`; a number alone is seconds. At least `least` seconds, at most a week. */
const time = (least: number, steps: number[]): Quantity => ({
  parse(text) {
    const trimmed = text.trim().toLowerCase();
    if (!/^(\d+(\.\d+)?\s*[a-z]*\s*)+$/.test(trimmed)) return undefined;
    let sum = 0;
    for (const [, digits, unit] of trimmed.matchAll(/(\d+(?:\.\d+)?)\s*([a-z]*)/g)) {
      const seconds = SECONDS[(unit || 's').replace(/^(sec|min|hour|day)s$/, '$1')];
      if (seconds === undefined) return undefined;
      sum += Number(digits) * seconds;
    }
    return sum >= least && sum <= 604_800 ? Math.round(sum * 1000) / 1000 : undefined;
  },
  format(seconds) {
    const whole = NAMES.find((one) => seconds >= one.seconds && seconds % one.seconds === 0);
    return whole ? `${seconds / whole.seconds}${whole.unit}` : `${Math.round(seconds * 1000)}ms`;
  },
  words(seconds) {
    const whole = NAMES.find((one) => seconds >= one.seconds && seconds % one.seconds === 0);
    if (!whole) return `${Math.round(seconds * 1000)} milliseconds`;
    const count = seconds / whole.seconds;
    return `${count} ${whole.name}${count === 1 ? '' : 's'}`;
  },
  steps,
});

const FACTORS: Record<string, number> = { '': 1, k: 1e3, m: 1e6, g: 1e9 };

/** A whole number: `1000`, `1,000`, `50k`, `1.5M`. */
const count = (least: number, most: number, steps: number[]): Quantity => ({
  parse(text) {
    const [, digits, factor] = /^(\d+(?:\.\d+)?)([kmg]?)$/.exec(text.toLowerCase().replace(/[\s,_]/g, '')) ?? [];
    const value = Math.round(Number(digits) * (FACTORS[factor ?? ''] ?? Number.NaN));
    return value >= least && value <= most ? value : undefined;
  },
  format: (value) => String(value),
  words: (value) => value.toLocaleString('en'),
  steps,
});

/** How old news may be. */
export const FRESH = time(0.01, [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 300, 900, 3600]);
/** The time between two changes. */
export const EVERY = time(
  0.001,
  [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 600, 900, 3600, 21_600, 86_400, 604_800],
);
/** Users at the same time. */
export const USERS = count(1, 1e9, [10, 100, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7]);
/** Bytes of a message. */
export const BYTES = count(0, 1_048_576, [0, 20, 60, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 5e4, 2e5, 1_048_576]);

/** The step that is nearest to a value, by ratio. */
export function nearest(steps: readonly number[], value: number): number {
  const away = (step: number) => Math.abs(Math.log(step + 1e-3) - Math.log(value + 1e-3));
  return steps.reduce((best, step, index) => (away(step) < away(steps[best] ?? 0) ? index : best), 0);
}
