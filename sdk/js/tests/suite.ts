// One suite for every runtime: Node, Bun, Deno and browsers run these cases against a real node, through a proxy
// that they command (support/harness.js). The cases stand in suite/.

import { type Case, command, type Given } from './suite/given.js';
import { network } from './suite/network.js';
import { publishing } from './suite/publishing.js';
import { reading } from './suite/reading.js';
import { users } from './suite/users.js';

export const cases: Record<string, Case> = { ...reading, ...network, ...publishing, ...users };

/** Cases that take long: run with TIDINGS_SDK_LONG=1. */
const LONG = /poll: presence|sse: presence|: cut every|freezes|blocked in mid|held back|short requests|queue/;
/** The cases that command the network, which the others share: one after the other. */
const ALONE = /cut|freezes|blocked|eaten|held back|short requests|restarts|queue/;
const breaks = (name: string): boolean => ALONE.test(name);

/** Cases that run at once. */
const AT_ONCE = 6;

/** Runs the cases whose names hold `only`, and says how each went. `broken` is another network,
 * for those that break it; or says which of both kinds to run, where a page reaches one network alone. */
export async function run(
  given: Given,
  broken: Partial<Given> & { breaks?: boolean },
  only = '',
  long = false,
  tell: (line: string) => void = console.log,
): Promise<boolean> {
  const chosen = Object.entries(cases).filter(([name]) => name.includes(only) && (long || !LONG.test(name)));
  let failed = 0;
  const one = async ([name, act]: [string, Case], given: Given) => {
    const began = Date.now();
    const error = await act(given).then(
      () => null,
      (thrown) => thrown as Error,
    );
    if (error) failed++;
    tell(`${error ? 'not ok' : 'ok'} ${name} (${Date.now() - began} ms)${error ? `\n    ${error.stack}` : ''}`);
  };
  const quiet = chosen.filter(([name]) => !breaks(name));
  const lane = async (): Promise<void> => {
    for (let entry = quiet.shift(); entry; entry = quiet.shift()) await one(entry, given);
  };
  const alone = async (): Promise<void> => {
    for (const entry of chosen.filter(([name]) => breaks(name))) {
      await one(entry, { ...given, ...broken });
      await command({ ...given, ...broken }, { mode: 'pass' });
    }
  };
  const lanes = broken.breaks === true ? [] : Array.from({ length: AT_ONCE }, lane);
  await Promise.all([...lanes, ...(broken.breaks === false ? [] : [alone()])]);
  return failed === 0;
}
