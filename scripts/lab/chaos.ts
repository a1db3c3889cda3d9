/** A fault run on real parts: is anything lost, said twice or left behind? `npm run chaos -- --help`. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgumentError, program } from 'commander';
import { missing } from './chaos/plan.js';
import { runChaos } from './chaos/run.js';
import { giveUpOnSignals } from '../dev/give-up.js';
import { createProgress } from '../dev/progress.js';
import { localDir } from '../dev/stack/paths.js';

/** So many jobs a second are published unless `--minutes` says otherwise, and for this long at the least. */
const JOBS_A_SECOND = 3;
const LEAST_MS = 40_000;
const SHOWN = 20;

function positive(text: string): number {
  const number = Number(text);
  if (number > 0 && Number.isFinite(number)) return number;
  throw new InvalidArgumentError('Expected a number above 0.');
}

const { jobs, seed, minutes, json } = program
  .name('npm run chaos --')
  .option('--jobs <count>', 'number of jobs to publish', positive, 1000)
  .option('--seed <number>', 'plans the same jobs and faults each time', positive, 1)
  .option('--minutes <number>', 'how long to run; by default as long as the jobs need', positive)
  .option('--json', 'print JSON as the last line')
  .parse()
  .opts<{ jobs: number; seed: number; minutes?: number; json?: true }>();
const durationMs = minutes === undefined ? Math.max(LEAST_MS, (jobs / JOBS_A_SECOND) * 1_000) : minutes * 60_000;

const giveUp = giveUpOnSignals();

const logs = join(localDir, 'chaos-logs');
try {
  await rm(logs, { recursive: true, force: true });
  await mkdir(logs, { recursive: true });
  const startedAt = performance.now();
  const report = await runChaos({ ...{ jobs, seed, durationMs, logs }, progress: createProgress(), signal: giveUp });
  const { verdict, limits, badEnds, faults } = report;
  const short = missing(jobs, faults);
  const above = limits.jobsActive.above + limits.decodedBytes.above;
  const breaches = [
    ...Object.entries(verdict).flatMap(([kind, all]) => all.map((one) => `${kind}: ${one}`)),
    ...badEnds.map(({ worker, how }) => `worker ${worker}: ${how}`),
    ...(above > 0 ? [`${above} samples above the limits`] : []),
    ...(limits.samples === 0 ? ['no worker was ever asked how much it has in work'] : []),
    ...short.map((kind) => `${kind}: happened too seldom`),
  ];
  for (const breach of breaches.slice(0, SHOWN)) console.error(breach);
  if (breaches.length > SHOWN) console.error(`and ${breaches.length - SHOWN} more`);
  const line = {
    jobs,
    ...Object.fromEntries(Object.entries({ ...verdict, badEnds }).map(([kind, all]) => [kind, all.length])),
    ...{ faults, limits },
    messages: report.accepted,
    completions: report.completions,
    seed,
    seconds: Math.round((performance.now() - startedAt) / 1000),
    pass: breaches.length === 0,
  };
  console.log(json ? JSON.stringify(line) : line);
  // Everything is stopped; but a client whose connection was broken on purpose may still wait to make another.
  process.stdout.write('', () => process.exit(line.pass ? 0 : 1));
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(process.exitCode ?? 1); // what is still planned would go on waiting for its time
}
