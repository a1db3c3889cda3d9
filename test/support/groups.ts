/**
 * The groups of test files that look at a clock: one file of each group runs at a time. Files that count what the shared Triton
 * does, or hold it up, are all in one group. The groups take equally long.
 */
import { basename } from 'node:path';

/** Files that ask only a Triton that they have started themselves. */
const WITH_OWN_TRITON: ReadonlySet<string> = new Set([
  'chaos.test.ts',
  'new-model.test.ts',
  'ship-under-load.test.ts',
  'stack.test.ts',
  'triton-faults.test.ts',
  'triton-lifecycle.test.ts',
  'triton-process.test.ts',
  'triton-protocol.test.ts',
]);
/** Files that wait for Pub/Sub, for storage, or for time to pass, and one that asks the shared Triton without counting. */
const WAITING: ReadonlySet<string> = new Set([
  'documented.test.ts',
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
/** The other files whose assertions do not count the requests at the shared Triton, so that others may use it meanwhile. */
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
const GROUPS: Readonly<Record<string, ReadonlySet<string>>> = {
  'own Triton': WITH_OWN_TRITON,
  waiting: WAITING,
  others: OTHERS,
};

/** @param path of a test file of the project `real` */
export function groupOf(path: string): string {
  const file = basename(path);
  const [name] = Object.entries(GROUPS).find(([, files]) => files.has(file)) ?? ['shared Triton'];
  return name;
}
