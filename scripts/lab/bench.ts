/**
 * Benchmarks, as ratios within one run:
 *
 *   npm run bench
 *       all of them
 *   npm run bench -- batching.fixed batching.any.thumbnails --json
 *       those whose names begin so, a JSON line for each figure on standard output
 */
import { parseArgs } from 'node:util';
import { batching } from './bench/batching.js';
import { fairness } from './bench/fairness.js';
import { memory } from './bench/memory.js';
import { outage } from './bench/outage.js';
import { poison } from './bench/poison.js';
import { policies } from './bench/policies.js';
import { seams } from './bench/seams.js';
import { soak } from './bench/soak.js';
import { starvation } from './bench/starvation.js';
import { storage } from './bench/storage.js';
import { telemetry } from './bench/telemetry.js';
import { createProgress } from '../dev/progress.js';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false } },
});
const GROUPS = { batching, fairness, memory, outage, poison, policies, seams, soak, starvation, storage, telemetry };
const chosen = positionals.length > 0 ? positionals : Object.keys(GROUPS);
const stranger = chosen.find(
  (name) => !Object.keys(GROUPS).some((group) => name === group || name.startsWith(`${group}.`)),
);
if (stranger !== undefined) {
  console.error(`${stranger}: expected names that begin with ${Object.keys(GROUPS).join(' or ')}`);
  process.exit(2);
}

const progress = createProgress();
try {
  for (const [group, run] of Object.entries(GROUPS)) {
    const mine = chosen.filter((name) => name === group || name.startsWith(`${group}.`));
    if (mine.length === 0) continue;
    const wanted = (name: string) => mine.some((one) => one === group || `${group}.${name}`.startsWith(one));
    const figures = await run({ progress, wanted });
    for (const one of figures) {
      if (values.json) console.log(JSON.stringify(one));
      else
        console.log(
          `${one.pass ? 'ok  ' : 'MISS'} ${one.name}: ${one.ratio} (${one.op} ${one.goal ?? ''}) ${JSON.stringify(one.detail)}`,
        );
      if (!one.pass) process.exitCode = 1;
    }
  }
} finally {
  progress.close();
}
