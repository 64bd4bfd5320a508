// Numbers as a person reads them.

/** `1,234`, `12.3 k`, `4.56 M`: three figures that count. */
export function amount(value: number): string {
  if (value < 10_000) return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 });
  if (value < 1e6) return `${three(value / 1e3)} k`;
  if (value < 1e9) return `${three(value / 1e6)} M`;
  return `${three(value / 1e9)} G`;
}

/** Bytes, in units of 1,024. */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : three(value)} ${units[unit]}`;
}

/** Milliseconds: `0.8 ms`, `42 ms`, `1.25 s`. */
export function milliseconds(value: number): string {
  if (value < 10) return `${value.toFixed(1)} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  return `${three(value / 1000)} s`;
}

/** Seconds as the two units that count: `42 s`, `3 min 20 s`, `5 h 12 min`, `2 d 3 h`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

const three = (value: number) => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
