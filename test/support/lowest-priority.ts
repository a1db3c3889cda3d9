/** Before the tests of a file that only computes: they, and what they start, take what time the others leave. */
import { constants, setPriority } from 'node:os';

setPriority(constants.priority.PRIORITY_LOW);
