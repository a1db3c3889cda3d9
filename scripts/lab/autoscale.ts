/** Compares autoscaling policies by simulation; fails when the shipped one is not good enough. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { program } from 'commander';
import { format, resolveConfig } from 'prettier';
import { judge } from './autoscale/compare.js';
import { drawing } from './autoscale/plot.js';
import { SAMPLE, SHIPPED } from './autoscale/policies.js';
import { report } from './autoscale/report.js';
import { chapters, COST_AT_MOST, QUEUE_AT_MOST, SEEDS, winner } from './autoscale/study.js';

const { out } = program
  .name('npm run autoscale --')
  .description('Compares autoscaling policies by simulation, which takes minutes')
  .option('--out <folder>', 'where the report and its drawings go', '.imagen/autoscale')
  .parse()
  .opts<{ out: string }>();
mkdirSync(out, { recursive: true });

const all = chapters();
const best = winner();
const file = join(out, 'report.md');
writeFileSync(file, await format(report(all, SEEDS, best), { ...(await resolveConfig(file)), filepath: file }));
for (const { comparison, drawing: name } of all) {
  if (name !== undefined) writeFileSync(join(out, name), drawing(comparison, [SAMPLE, SHIPPED]));
}
for (const { title, comparison } of all) {
  const { queue, all: together, cost, killed } = judge(comparison, SHIPPED, SAMPLE);
  console.log(
    `${title}: queue ${queue.toFixed(3)} (all jobs together ${together.toFixed(3)}), cost ${cost.toFixed(3)}, killed ${killed}`,
  );
}
console.log(`the cheapest that keeps the limits: ${best}\nwritten: ${file}`);

const [first] = all;
const verdict = first && judge(first.comparison, SHIPPED, SAMPLE);
const good =
  verdict && verdict.queue <= QUEUE_AT_MOST && verdict.cost <= COST_AT_MOST && verdict.killed === 0 && best === SHIPPED;
process.exitCode = good ? 0 : 1;
