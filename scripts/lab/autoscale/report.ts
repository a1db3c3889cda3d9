import { ABOUT, ARRIVALS } from './arrivals.js';
import { type Comparison, judge, type Row } from './compare.js';
import type { Plant } from './plant.js';
import type { HpaSpec, Metric } from './hpa.js';
import { type NamedPolicy, SAMPLE, SHIPPED, shipped } from './policies.js';
import type { Scaling } from './world.js';

export interface Chapter {
  readonly title: string;
  readonly about: string;
  readonly comparison: Comparison;
  readonly policies: readonly NamedPolicy[];
  readonly drawing?: string;
}

/** @param best the winner's name */
export function report(chapters: readonly Chapter[], seeds: readonly number[], best: string): string {
  const plant = chapters[0]?.comparison.plant;
  return [
    '# Autoscaling, simulated',
    '',
    '`npm run autoscale -- --out docs/autoscaling` writes this page, with the same numbers every time. Pods, nodes, GPUs and metrics are',
    'simulated; the last section lists the assumptions. The simulator was checked against Kubernetes’ own controllers with real',
    'workers on three curves: [real.md](real.md). Nothing was measured on a cluster.',
    '',
    `The policies, and the neighbours of the shipped one, were compared on other days than these. This is the cheapest that keeps the limits: **${best}**.`,
    'These are the shipped targets, which a test compares with the manifests:',
    '',
    ...targetsOf(shipped('shared')).map((line) => `- ${line}`),
    '',
    'Each cell has the 95th percentile of the seconds in any queue (subscription, worker, Triton), and then the',
    `cost in hours of a GPU node, over ${seeds.length} days of each shape. _Queue_ (the worst of the shapes) and _all_ (all jobs together) are`,
    'waits divided by those of the GKE sample; waits under a second count as one. _Cost_ is the sum, divided by that of the sample.',
    'The sample is applied to Triton as well, because Google’s has no GPU.',
    '_Killed_ are jobs that a worker gave back because its time to drain was over.',
    '',
    ...chapters.flatMap(chapter),
    ...(plant ? assumptions(plant) : []),
    '',
  ].join('\n');
}

/** A line for each autoscaler: what it looks at, and how long it waits before it takes away. */
export function targetsOf({ workers, gpus }: Scaling): string[] {
  const target = (metric: Metric) =>
    'value' in metric ? `${metric.name} ${metric.value}` : `${metric.name} ${metric.averageValue} a pod`;
  const line = (what: string, { metrics, scaleDown }: HpaSpec) =>
    `${what}: ${metrics.map((metric) => `\`${target(metric)}\``).join(', ')}; fewer after ${scaleDown.stabilizationWindowSeconds} s`;
  return [line('workers', workers), line('Triton', gpus)];
}

function chapter({ title, about, comparison, policies, drawing }: Chapter): string[] {
  const of = (policy: string) => comparison.rows.filter((row) => row.policy === policy);
  return [
    `## ${title}`,
    '',
    about,
    '',
    ...(drawing === undefined ? [] : [`![Backlog, workers and GPUs: ${SAMPLE} and ${SHIPPED}](${drawing})`, '']),
    `| policy | ${ARRIVALS.join(' | ')} | queue | all | cost | killed |`,
    `| --- | ${ARRIVALS.map(() => '--- |').join(' ')} --- | --- | --- | --- |`,
    ...policies.map(({ name }) => {
      const verdict = judge(comparison, name, SAMPLE);
      const cells = of(name).map(cell).join(' | ');
      const label = name === SHIPPED ? `**${name}**` : name;
      return `| ${label} | ${cells} | ${verdict.queue.toFixed(2)} | ${verdict.all.toFixed(2)} | ${verdict.cost.toFixed(2)} | ${verdict.killed} |`;
    }),
    '',
    ...policies.filter(({ about: words }) => words !== '').map(({ name, about: words }) => `- ${name}: ${words}`),
    '',
  ];
}

const cell = ({ p95, cost }: Row) => `${p95 < 10 ? p95.toFixed(1) : p95.toFixed(0)} s, ${cost.toFixed(0)}`;

function assumptions(plant: Plant): string[] {
  const machine = ({ podSeconds, nodeSeconds, podsPerNode, pricePerHour }: Plant['worker']) =>
    `${podSeconds} s until a pod is ready, ${nodeSeconds} s more where it needs a new node, ${podsPerNode} on a node, ${pricePerHour} an hour of a node`;
  return [
    '## What was assumed',
    '',
    `- A GPU: ${plant.gpuJobsPerSecond} jobs a second with batches of ${plant.batch}, half of that with batches half full. A job has ${plant.requestsPerJob} requests in flight, a worker ${plant.requestsPerWorker} at most.`,
    `- A worker: ${plant.workerCpuSeconds} s of its core for a job, ${plant.maxJobs} jobs at once, ${plant.drainSeconds} s to drain. Sizes of jobs: log-normal, sigma 0.6.`,
    `- Workers: ${machine(plant.worker)}. GPUs: ${machine(plant.gpu)}. Nodes go when they were not needed for ten minutes.`,
    `- Limits: ${plant.workers.min} to ${plant.workers.max} workers, ${plant.gpus.min} to ${plant.gpus.max} GPUs.`,
    '- Pub/Sub’s metrics: sampled every 60 s, seen 2 to 3 minutes later, so 2 to 4 minutes old; they count jobs in work. Managed',
    `  Prometheus: every ${plant.prometheus.everySeconds} s, ${plant.prometheus.delaySeconds.join(' to ')} s later.`,
    '- The autoscaler: the published algorithm, looking every 15 s, tolerance 0.1.',
    '- Arrivals, in GPUs kept busy:',
    ...ARRIVALS.map((arrivals) => `  - ${arrivals}: ${ABOUT[arrivals]}`),
    '- Kinder than the world: a new GPU at once shares what is under way elsewhere, a GPU that goes loses nothing, and pods are',
    '  always packed onto as few nodes as possible.',
    '- Left out: failures, priorities, models that differ, the time to pull an image on a node that has it, parked jobs.',
  ];
}
