/**
 * Loaded into a worker, beside it: holds its whole process after a step, where a job asks for it by its id
 * (<name>-waits-after-<step>). That it waits is told by a file in the folder WAITS; another one lets it go on.
 */
import { subscribe } from 'node:diagnostics_channel';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

const nobody = new Int32Array(new SharedArrayBuffer(4));

subscribe('imagen:step', ({ jobId, step }) => {
  if (/-waits-after-([a-z]+)$/.exec(jobId)?.[1] !== step) return;
  const name = join(process.env.WAITS ?? '', jobId);
  writeFileSync(`${name}.waits`, '');
  while (!existsSync(`${name}.goes-on`)) Atomics.wait(nobody, 0, 0, 20);
});
