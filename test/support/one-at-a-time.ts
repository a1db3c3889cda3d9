/**
 * Before the tests of a file that looks at a clock: waits for its turn. There are three groups, and one file of each may run
 * at once. Files that count what the shared Triton does, or hold it up, are all in one group.
 */
import { basename } from 'node:path';
import { afterAll, expect, inject } from 'vitest';
import { quietly, withLock } from '../../scripts/dev/stack/lock.js';

/** Files that ask only a Triton that they have started themselves, and one that counts nothing and would make another group longer. */
const WITH_OWN_TRITON: ReadonlySet<string> = new Set([
  'chaos.test.ts',
  'documented.test.ts',
  'entrypoint.test.ts',
  'monitoring.test.ts',
  'new-model.test.ts',
  'ship-under-load.test.ts',
  'stack.test.ts',
  'triton-faults.test.ts',
  'triton-lifecycle.test.ts',
  'triton-process.test.ts',
  'triton-protocol.test.ts',
]);
/** Files that ask no Triton, one that they have started, or the shared one without counting. The groups take equally long. */
const OTHERS: ReadonlySet<string> = new Set([
  'emulator.test.ts',
  'faults.test.ts',
  'job-source.test.ts',
  'manners.test.ts',
  'object-store.test.ts',
  'outage.test.ts',
  'package.test.ts',
  'pubsub-administration.test.ts',
  'routes.test.ts',
  'pubsub-delivery.test.ts',
  'python.test.ts',
  'setup.test.ts',
  'start-stop.test.ts',
  'stop.test.ts',
  'submit.test.ts',
]);

const file = basename(expect.getState().testPath ?? '');
if (file === '') throw new Error('vitest does not say which file this is');
const kind = WITH_OWN_TRITON.has(file) ? 'own Triton' : OTHERS.has(file) ? 'others' : 'shared Triton';

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
