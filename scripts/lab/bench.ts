/** Benchmarks, as ratios within one run: `npm run bench -- batching.fixed batching.any.thumbnails --json`. */
import { program } from 'commander';
import { batching } from './bench/batching.js';
import { busy } from './bench/busy.js';
import { ceiling } from './bench/ceiling.js';
import { coldstart } from './bench/coldstart.js';
import { fairness } from './bench/fairness.js';
import { memory } from './bench/memory.js';
import { outage } from './bench/outage.js';
import { overhead } from './bench/overhead.js';
import { poison } from './bench/poison.js';
import { profile } from './bench/profile.js';
import { policies } from './bench/policies.js';
import { python } from './bench/python.js';
import { same } from './bench/same.js';
import { seams } from './bench/seams.js';
import { shadow } from './bench/shadow.js';
import { soak } from './bench/soak.js';
import { starvation } from './bench/starvation.js';
import { storage } from './bench/storage.js';
import { telemetry } from './bench/telemetry.js';
import { tenants } from './bench/tenants.js';
import { workers } from './bench/workers.js';
import { createProgress } from '../dev/progress.js';

const GROUPS = {
  batching,
  busy,
  ceiling,
  coldstart,
  fairness,
  memory,
  outage,
  overhead,
  poison,
  policies,
  profile,
  python,
  same,
  seams,
  shadow,
  soak,
  starvation,
  storage,
  telemetry,
  tenants,
  workers,
};
const { args } = program
  .name('npm run bench --')
  .argument('[names...]', `how the names of the figures begin: ${Object.keys(GROUPS).join(', ')}, or longer`)
  .option('--json', 'a JSON line for each figure')
  .option('--rounds <count>', 'how often to measure a figure that is a median', Number, 3)
  .parse();
const { json, rounds } = program.opts<{ json?: true; rounds: number }>();
const chosen = args.length > 0 ? args : Object.keys(GROUPS);
const isOf = (group: string) => (name: string) => name === group || name.startsWith(`${group}.`);
const stranger = chosen.find((name) => !Object.keys(GROUPS).some((group) => isOf(group)(name)));
if (stranger !== undefined) {
  console.error(`${stranger}: expected names that begin with ${Object.keys(GROUPS).join(' or ')}`);
  process.exit(2);
}

const progress = createProgress();
for (const [group, run] of Object.entries(GROUPS)) {
  const mine = chosen.filter(isOf(group));
  if (mine.length === 0) continue;
  const wanted = (name: string) => mine.some((one) => one === group || `${group}.${name}`.startsWith(one));
  const figures = await run({ progress, rounds, wanted });
  for (const one of figures) {
    const { pass, name, ratio, op, goal, detail } = one;
    const words = `${pass ? 'ok  ' : 'MISS'} ${name}: ${ratio} (${op} ${goal ?? ''}) ${JSON.stringify(detail)}`;
    console.log(json ? JSON.stringify(one) : words);
    if (!pass) process.exitCode = 1;
  }
}
