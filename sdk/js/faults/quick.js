// The everyday ones, with fewer messages: under a minute.

import { SCENARIOS } from './rig/scenarios.js';
import { suite } from './rig/suite.js';

suite('everyday faults', SCENARIOS.filter(({ quick }) => quick).map((scenario) => ({ ...scenario, count: 600 })));
