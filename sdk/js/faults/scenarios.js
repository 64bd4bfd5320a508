// All scenarios, each with 2,000 messages.

import { SCENARIOS } from './rig/scenarios.js';
import { suite } from './rig/suite.js';

suite('all faults', SCENARIOS);
