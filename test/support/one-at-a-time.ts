/**
 * Before the tests of a file that looks at a clock: waits for its turn. Files that ask the shared Triton take turns, since
 * some of them count what it does. So do the others, in two groups. One file of each kind may run at once.
 */
import { basename } from 'node:path';
import { afterAll, expect, inject } from 'vitest';
import { quietly, withLock } from '../../scripts/dev/stack/lock.js';

/** Files that ask only a Triton that they have started themselves. */
const WITH_OWN_TRITON: ReadonlySet<string> = new Set([
  'chaos.test.ts',
  'entrypoint.test.ts',
  'monitoring.test.ts',
  'new-model.test.ts',
  'stack.test.ts',
  'triton-faults.test.ts',
  'triton-lifecycle.test.ts',
  'triton-process.test.ts',
  'triton-protocol.test.ts',
]);
/** Files that ask no Triton, or only one that they have started; a second group, so that both run at once. */
const WITHOUT_TRITON: ReadonlySet<string> = new Set([
  'emulator.test.ts',
  'faults.test.ts',
  'job-source.test.ts',
  'manners.test.ts',
  'object-store.test.ts',
  'outage.test.ts',
  'package.test.ts',
  'pubsub-administration.test.ts',
  'pubsub-delivery.test.ts',
  'setup.test.ts',
  'start-stop.test.ts',
]);

const file = basename(expect.getState().testPath ?? '');
if (file === '') throw new Error('vitest does not say which file this is');
const kind = WITH_OWN_TRITON.has(file) ? 'own Triton' : WITHOUT_TRITON.has(file) ? 'no Triton' : 'shared Triton';

let leave: () => void;
const left = new Promise<void>((resolve) => (leave = resolve));
await new Promise<void>((resolve, reject) => {
  const turn = withLock(`${inject('stack').dir} ${kind} turn`, quietly, () => {
    resolve();
    return left;
  });
  turn.catch(reject);
});
// The first to be asked for is the last to be done.
afterAll(() => leave());
