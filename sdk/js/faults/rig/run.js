// Runs scenarios and shows them as a table.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { World } from './world.js';

/** Where each run is written down in full, if anywhere. */
const OUT = process.env.FAULTS_OUT;

export async function run(browser, scenario, how) {
  const world = await World.make(browser, scenario, how);
  try {
    const outcome = await world.run();
    if (OUT) {
      mkdirSync(OUT, { recursive: true });
      writeFileSync(join(OUT, `${scenario.name.replace(/[^a-z0-9]+/gi, '-')}.json`), JSON.stringify(outcome));
    }
    return outcome;
  } finally {
    await world.close();
  }
}

const seconds = (ms) => (ms === null ? '–' : `${(ms / 1_000).toFixed(2)} s`);

/** A line for each page of each outcome. */
export function table(outcomes) {
  const rows = [['scenario', 'at the application', 'recovered', 'caught up', 'longest silence', 'lag p50 / max', 'transports']];
  for (const { name, results } of outcomes) {
    for (const result of results) {
      rows.push([
        results.length > 1 ? `${name} (page ${result.page + 1})` : name, result.words + (result.gaps.length ? `; ${result.gaps.length} gaps` : ''), seconds(result.firstMs), seconds(result.caughtUpMs),
        seconds(result.silenceMs), `${result.lagP50Ms} / ${result.lagMaxMs} ms`, result.walked,
      ]);
    }
  }
  const widths = rows[0].map((_, i) => Math.min(60, Math.max(...rows.map((row) => row[i].length))));
  rows.splice(1, 0, widths.map((width) => '-'.repeat(width)));
  return rows.map((row) => `| ${row.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`).join('\n');
}
