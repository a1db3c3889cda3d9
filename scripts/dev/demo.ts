/** `npm run demo -- --help`: everything once, on the real parts; leaves .imagen/demo/index.html behind. */
import { mkdir, rm } from 'node:fs/promises';
import { relative } from 'node:path';
import { program } from 'commander';
import { runBurst } from './demo/burst.js';
import { openDemoStack } from './demo/demo-stack.js';
import { demoJobs } from './demo/jobs.js';
import { demoDir, writeReport } from './demo/page.js';
import { runJobs } from './demo/run.js';
import { failures, howToGoOn, inWords, rowsOf } from './demo/say.js';
import { giveUpOnSignals } from './give-up.js';
import { createProgress } from './progress.js';
import { tail } from './stack/supervisor.js';

const giveUp = giveUpOnSignals();

async function demo(keep: boolean): Promise<void> {
  const progress = createProgress();
  await rm(demoDir, { recursive: true, force: true });
  await mkdir(demoDir, { recursive: true });
  const demoStack = await openDemoStack({ keep, progress, signal: giveUp, logs: demoDir });
  let kept = false;
  try {
    const jobs = demoJobs({ routed: Boolean(demoStack.env.IMAGEN_ROUTES_FILE) });
    const run = await runJobs(jobs, { demoStack, progress, signal: giveUp, folder: demoDir });
    const burst = await runBurst(demoStack, { progress, signal: giveUp, folder: demoDir });
    const page = await writeReport(run, burst);
    console.table(rowsOf(run.outcomes));
    console.log(`\n${inWords(burst)}\n\n${relative(process.cwd(), page)}\n`);
    const failed = failures(run.outcomes, burst);
    if (failed.length > 0) {
      console.error(`${failed.join('\n')}\nthe end of the worker's log:\n${tail(demoStack.worker.log)}`);
      process.exitCode = 1;
    }
    if (keep) {
      await demoStack.leave();
      kept = true;
      console.log(howToGoOn(demoStack));
    }
  } finally {
    if (!kept) await demoStack.close();
  }
}

try {
  program.name('npm run demo --').option('--keep', 'serve a page to watch, and leave everything up').parse();
  await demo(program.opts<{ keep?: true }>().keep ?? false);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode ??= 1;
}
