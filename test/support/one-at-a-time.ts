/**
 * Before the tests of a file that looks at a clock: waits for its turn. Files on the shared stack take turns, for they would
 * disturb each other. So do the files that start servers of their own. One of each kind may run at once.
 */
import { basename } from 'node:path';
import { afterAll, expect, inject } from 'vitest';
import { quietly, withLock } from '../../scripts/dev/stack/lock.js';

/** Files that start all servers which they disturb or measure. */
const WITH_OWN_SERVERS: ReadonlySet<string> = new Set([
  'chaos.test.ts',
  'entrypoint.test.ts',
  'live.test.ts',
  'monitoring.test.ts',
  'new-model.test.ts',
  'outage.test.ts',
  'stack.test.ts',
  'start-stop.test.ts',
  'triton-faults.test.ts',
  'triton-lifecycle.test.ts',
  'triton-process.test.ts',
  'triton-protocol.test.ts',
]);

const file = basename(expect.getState().testPath ?? '');
if (file === '') throw new Error('vitest does not say which file this is');
const kind = WITH_OWN_SERVERS.has(file) ? 'own' : 'shared';

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
