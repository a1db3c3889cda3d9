/** Runs the shipped autoscalers on Kubernetes' real controllers, and compares the simulator with them. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Option, program } from 'commander';
import { installApiServer, VERSION } from '../dev/k8s/api-server.js';
import { createProgress } from '../dev/progress.js';
import { localDir } from '../dev/stack/paths.js';
import { FACTOR } from './controllers/clock.js';
import { ABOUT, type Curve, CURVES, SECONDS, timesOf } from './controllers/curves.js';
import { runReal } from './controllers/run.js';
import { compareFigures, type Figures, figuresOf, RUN_PLANT, simulated } from './controllers/verdict.js';

const { curve: chosen, seed } = program
  .name('npm run autoscale:real --')
  .description('Runs the shipped autoscalers on real controllers and real workers, and compares with the simulator')
  .addOption(new Option('--curve <name>', 'one of the curves; all of them by default').choices(CURVES))
  .option('--seed <number>', 'the same arrivals and the same delays of metrics each time', Number, 11)
  .parse()
  .opts<{ curve?: Curve; seed: number }>();

process.once('SIGINT', () => process.exit(130)); // what was started ends with this process
const progress = createProgress();
await installApiServer((text) => progress.say(text));
for (const curve of chosen === undefined ? CURVES : [chosen]) {
  const good = await run(curve);
  if (!good) process.exitCode = 1;
}

async function run(curve: Curve): Promise<boolean> {
  const logs = join(localDir, 'controllers-logs', curve);
  rmSync(logs, { recursive: true, force: true });
  mkdirSync(logs, { recursive: true });
  const [plant, seconds] = [RUN_PLANT, SECONDS[curve]];
  const arrivals = timesOf(curve, plant.gpuJobsPerSecond, seed);
  progress.say(`${curve}: ${ABOUT[curve]}; ${arrivals.length} jobs, ${(seconds / FACTOR / 60).toFixed(0)} minutes`);
  const { figures: simulation, trace: expected } = simulated(plant, arrivals, seconds, seed);
  const outcome = await runReal({ plant, arrivals, seconds, seed, logs, progress });
  const figures = figuresOf(outcome, outcome.alone);
  const { ratios, far } = compareFigures(simulation, figures);
  const { alone, lost, failed, badEnds, trace } = outcome;
  const line = (name: string, { p95, queued, workers, gpus }: Figures) =>
    `${name.padEnd(10)} p95 ${p95.toFixed(0)} s (${queued.toFixed(0)} s in queue), pod-seconds: workers ${workers.toFixed(0)}, Triton ${gpus.toFixed(0)}`;
  console.log(`${curve}, Kubernetes ${VERSION}, clock × ${FACTOR}: a job alone took ${alone.toFixed(1)} s`);
  console.log(line('measured', figures));
  console.log(line('simulated', simulation));
  const pass = far.length === 0 && lost === 0 && failed === 0 && badEnds.length === 0;
  const result = {
    curve,
    seed,
    jobs: arrivals.length,
    lost,
    failed,
    badEnds,
    measured: figures,
    simulated: simulation,
    ratios,
    pass,
  };
  writeFileSync(join(logs, 'result.json'), JSON.stringify({ ...result, trace, expected }, null, 2));
  console.log(JSON.stringify(result));
  return pass;
}
