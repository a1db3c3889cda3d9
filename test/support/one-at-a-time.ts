/** Before the tests of a file that looks at a clock: waits until no other one of the run is at work. */
import { afterAll, inject } from 'vitest';
import { quietly, withLock } from '../../scripts/dev/stack/lock.js';

let leave: () => void;
const left = new Promise<void>((resolve) => (leave = resolve));
await new Promise<void>((resolve, reject) => {
  const turn = withLock(`${inject('stack').dir} turn`, quietly, () => {
    resolve();
    return left;
  });
  turn.catch(reject);
});
// The first to be asked for is the last to be done.
afterAll(() => leave());
