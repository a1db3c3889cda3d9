/** Loaded into a process: kills it right before its n-th change of the file system (KILL_AT, counted from 1). */
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import process from 'node:process';

let left = Number(process.env.KILL_AT);
for (const name of ['mkdir', 'writeFile', 'link', 'rename', 'rm', 'open']) {
  const original = fs[name];
  fs[name] = (...args) => {
    if (--left === 0) process.kill(process.pid, 'SIGKILL');
    return original(...args);
  };
}
syncBuiltinESMExports();
