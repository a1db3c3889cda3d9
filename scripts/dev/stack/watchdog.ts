/**
 * Ends what one `up` started when its owner is gone: `watchdog.ts <instance folder> <run>`. The kernel closes its stdin
 * when the owner dies; the owner says `release` when there is nothing to guard any more.
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
