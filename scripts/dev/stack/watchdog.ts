/**
 * Ends what one `up` started when the process that asked for it is gone, however it went. Its stdin is a pipe that only
 * the owner holds: the kernel closes it when the owner dies. The owner says `release` when there is nothing to guard
 * any more.
 *
 *   watchdog.ts <instance folder> <run>
 */
import { sweep } from './down.js';
import { quietly, withLock } from './lock.js';

const [dir, run] = process.argv.slice(2);
if (!dir || !run) throw new Error('usage: watchdog.ts <instance folder> <run>');

let said = '';
for await (const chunk of process.stdin) said += String(chunk);
if (!said.includes('release')) {
  await withLock(dir, quietly, () => sweep(dir, run));
}
