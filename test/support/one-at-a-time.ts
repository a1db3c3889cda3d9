/** Waits for the file's turn before its tests: one file of each group runs at a time (groups.ts). */
import { afterAll, expect, inject } from 'vitest';
import { quietly, withLock } from '../../scripts/dev/stack/lock.js';
import { groupOf } from './groups.js';

const path = expect.getState().testPath;
if (path === undefined) throw new Error('vitest does not say which file this is');
const group = groupOf(path);

let leave: () => void;
const left = new Promise<void>((resolve) => (leave = resolve));
await new Promise<void>((resolve, reject) => {
  const turn = withLock(`${inject('stack').dir} ${group} turn`, quietly, () => {
    resolve();
    return left;
  });
  turn.catch(reject);
});
// The first to be asked for is the last to be done.
afterAll(() => leave());
