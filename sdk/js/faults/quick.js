// The everyday ones, with fewer messages: under a minute. What is judged is what came: on which transport depends on
// how loaded the machine is, and is a matter of `npm run prove`.

import { SCENARIOS } from './rig/scenarios.js';
import { suite } from './rig/suite.js';

suite('everyday faults', SCENARIOS.filter(({ quick }) => quick).map((scenario) => ({ ...scenario, count: 600, walks: undefined })));
