/**
 * Loaded into a worker, beside it: kills its process right where a job asks for it by its id.
 *
 *   <name>-dies-after-<step>   when that step has been done for the first time, whichever worker does it
 *   <name>-kills-its-worker    each time one of its operations has been done, as a picture would that is too much for a worker
 *
 * Every death leaves a file in the folder CRASHES, which is what later attempts know it by.
 */
import { subscribe } from 'node:diagnostics_channel';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

const DIES = /-dies-after-([a-z]+)$/;
const KILLS = /-kills-its-worker$/;

subscribe('imagen:step', ({ jobId, attempt, step }) => {
  const kills = KILLS.test(jobId);
  if (step !== (kills ? 'infer' : DIES.exec(jobId)?.[1])) return;
  const name = kills ? `${jobId}.${process.pid}` : jobId;
  try {
    const death = { jobId, step, attempt, pid: process.pid, at: Date.now() };
    writeFileSync(join(process.env.CRASHES ?? '', name), JSON.stringify(death), { flag: 'wx' });
  } catch (error) {
    if (error.code === 'EEXIST') return; // it has died here before
    throw error;
  }
  process.kill(process.pid, 'SIGKILL');
});
