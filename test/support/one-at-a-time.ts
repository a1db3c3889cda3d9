/**
 * Before the tests of a file that looks at a clock: waits for its turn. There are four groups, and one file of each may run
 * at once. Files that count what the shared Triton does, or hold it up, are all in one group. The groups take equally long.
 */
import { basename } from 'node:path';
import { afterAll, expect, inject } from 'vitest';
import { quietly, withLock } from '../../scripts/dev/stack/lock.js';

/** Files that ask only a Triton that they have started themselves, and one that counts nothing. */
const WITH_OWN_TRITON: ReadonlySet<string> = new Set([
  'chaos.test.ts',
  'documented.test.ts',
  'new-model.test.ts',
  'ship-under-load.test.ts',
  'stack.test.ts',
  'triton-faults.test.ts',
  'triton-lifecycle.test.ts',
  'triton-process.test.ts',
  'triton-protocol.test.ts',
]);
/** Files that need little of the processor: they wait for Pub/Sub, for storage, or for time to pass. */
const WAITING: ReadonlySet<string> = new Set([
  'emulator.test.ts',
  'entrypoint.test.ts',
  'faults.test.ts',
  'job-source.test.ts',
  'monitoring.test.ts',
  'object-store.test.ts',
  'package.test.ts',
  'pubsub-administration.test.ts',
  'pubsub-delivery.test.ts',
  'setup.test.ts',
  'start-stop.test.ts',
  'stop.test.ts',
  'submit.test.ts',
]);
/** Others that ask no Triton, one that they have started, or the shared one without counting. */
const OTHERS: ReadonlySet<string> = new Set([
  'group.test.ts',
  'jobs.test.ts',
  'live.test.ts',
  'manners.test.ts',
  'notifications.test.ts',
  'outage.test.ts',
  'push.test.ts',
  'python.test.ts',
  'routes.test.ts',
]);
const GROUPS = { 'own Triton': WITH_OWN_TRITON, waiting: WAITING, others: OTHERS };

const file = basename(expect.getState().testPath ?? '');
if (file === '') throw new Error('vitest does not say which file this is');
const [kind] = Object.entries(GROUPS).find(([, files]) => files.has(file)) ?? ['shared Triton'];

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
