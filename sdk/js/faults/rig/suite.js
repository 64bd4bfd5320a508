// Scenarios as tests, with a table of them at the end.
//
//   ONLY=word      those with the word in their name
//   TOGETHER=1     one after the other; else three at a time, since most of a scenario is waiting

import { after, before, describe, test } from 'node:test';
import { launch, launchOwn } from './browser.js';
import { run, table } from './run.js';
import { expect } from './scenarios.js';

const concurrency = Number(process.env.TOGETHER ?? 3);

export function suite(name, scenarios) {
  const chosen = scenarios.filter((scenario) => scenario.name.includes(process.env.ONLY ?? ''));
  describe(name, { concurrency }, () => {
    const outcomes = new Map();
    let browser;
    before(async () => { browser = await launch(); });
    after(async () => {
      await browser.close();
      console.log(`\n${table(chosen.flatMap((scenario) => outcomes.get(scenario) ?? []))}\n`);
    });
    for (const scenario of chosen) {
      test(scenario.name, { timeout: 240_000 }, async () => {
        const own = scenario.own && (await launchOwn(scenario.own));
        const outcome = await run(own?.browser ?? browser, scenario, { machine: own }).finally(() => own?.close());
        outcomes.set(scenario, outcome);
        expect(scenario, outcome);
      });
    }
  });
}
