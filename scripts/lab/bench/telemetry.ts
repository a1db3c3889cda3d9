/**
 * What metrics, traces that are off, and the log cost, as shares of the worker's processor time for a job. Too little
 * for a difference of two runs: calls and lines of a real worker are counted, and multiplied by what one of them costs.
 */
import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { destination } from 'pino';
import { Histogram, Registry } from 'prom-client';
import { addAttributes, inSpan } from '../../../src/tracing/spans.js';
import { createLogger } from '../../../src/telemetry/logger.js';
import { cloudTraceFields } from '../../../src/tracing/trace-fields.js';
import { root } from '../../dev/stack/paths.js';
import type { StandIn } from '../make-models.js';
import { THUMBNAILS, uploadPictures } from './corpus.js';
import { type Harness, jobOf, toldBy, withHarness } from './harness.js';
import { type Benchmark, figure, median, round, simulated } from './result.js';

/** Thumbnails: the smaller a job's work, the larger the share of what is the same for every job. */
const JOBS = 200;
const SCRAPES = 200;
/** As Prometheus and Managed Prometheus are set up here. */
const SCRAPE_EVERY_SECONDS = 15;
const CALLS = 200_000;
/** Fewer: one costs as much as a dozen of the others. */
const LINES = 20_000;
const ROUNDS = 5;

const model: StandIn = {
  ...{ name: 'any', fixedMs: 5, eachMs: 1, plans: ['tile', 'whole'], tileSizes: [256], margin: 10 },
};

interface Counts {
  readonly spans: number;
  /** Looks at which span is active: two for each span, and one for each attribute or header that is not wanted. */
  readonly looks: number;
  readonly metrics: number;
}

export const telemetry: Benchmark = async ({ progress }) => {
  const file = join(tmpdir(), `imagen-counts-${process.pid}`);
  const logFile = join(tmpdir(), `imagen-log-${process.pid}`);
  process.env.COUNTS = file;
  const start = { preload: [join(root, 'scripts/lab/bench/count-telemetry.js')], logFile };
  try {
    return await withHarness([model], progress, (harness) => measure(harness, file, logFile), start);
  } finally {
    for (const one of [file, logFile]) rmSync(one, { force: true });
  }
};

async function measure(harness: Harness, file: string, logFile: string) {
  const pictures = await uploadPictures(harness, THUMBNAILS, JOBS);
  const run = (name: string) =>
    harness.run(pictures.map(({ uri }, i) => ({ job: jobOf(`${name}.${i}`, model.name, uri) })));
  await run('warm');
  await toldBy(harness.workerPid(), file); // and begins again
  const linesBefore = linesIn(logFile).length;

  const before = cpuSeconds(harness.workerPid());
  const { seconds } = await run('measured');
  const jobSeconds = (cpuSeconds(harness.workerPid()) - before) / JOBS;
  const counts = (await toldBy(harness.workerPid(), file)) as Counts;
  if (counts.spans === 0 || counts.metrics === 0) throw new Error(`nothing counted: ${JSON.stringify(counts)}`);
  const lines = linesIn(logFile).slice(linesBefore);
  const line = lines.find((one) => one.includes('"job ended"'));
  if (line === undefined) throw new Error(`no job ended in the log: ${lines.length} lines`);

  const scrapeSeconds = await costOfScrape(harness);
  const emptySpan = () => inSpan('none', { attributes: () => ({}) }, () => undefined);
  const look = () => addAttributes(() => ({}));
  const perCall = { span: await costOf(emptySpan), look: await costOf(look), metric: await costOf(observe()) };
  const lineSeconds = await costOf(log(line), LINES);
  const perJob = { spans: counts.spans / JOBS, looks: counts.looks / JOBS, metrics: counts.metrics / JOBS };
  const linesPerJob = lines.length / JOBS;
  const parts = {
    spans: perJob.spans * perCall.span + Math.max(0, perJob.looks - 2 * perJob.spans) * perCall.look,
    metrics: perJob.metrics * perCall.metric,
    scrapes: (scrapeSeconds * seconds) / SCRAPE_EVERY_SECONDS / JOBS,
  };
  const ratio = (parts.spans + parts.metrics + parts.scrapes) / jobSeconds;
  const logSeconds = linesPerJob * lineSeconds;
  return [
    figure('telemetry', ratio, '<=', 0.01, {
      ...{ jobs: JOBS, scrapeMs: round(scrapeSeconds * 1000), jobMs: round(jobSeconds * 1000) },
      microsecondsForAJob: scaled(parts, 1e6),
      callsForAJob: scaled(perJob, 1),
      microsecondsForACall: scaled(perCall, 1e6),
      simulated,
    }),
    figure('telemetry.log', logSeconds / jobSeconds, '<=', 0.01, {
      ...{ jobs: JOBS, jobMs: round(jobSeconds * 1000), linesForAJob: round(linesPerJob) },
      ...{ bytesOfALine: Buffer.byteLength(line) + 1, microsecondsForAJob: round(logSeconds * 1e6) },
      simulated,
    }),
  ];
}

const scaled = (values: Readonly<Record<string, number>>, by: number): Record<string, number> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, round(value * by)]));

/** Processor seconds of the worker for one scrape, beyond what it uses in the same time without. */
async function costOfScrape(harness: Harness): Promise<number> {
  const pid = harness.workerPid();
  const begun = cpuSeconds(pid);
  const startedAt = performance.now();
  for (let i = 0; i < SCRAPES; i++) await harness.metric('process_cpu_seconds_total', model.name);
  const tookMs = performance.now() - startedAt;
  const scraped = cpuSeconds(pid);
  await sleep(tookMs);
  return Math.max(0, scraped - begun - (cpuSeconds(pid) - scraped)) / SCRAPES;
}

async function costOf(call: () => unknown, calls = CALLS): Promise<number> {
  const rounds: number[] = [];
  for (let round = 0; round <= ROUNDS; round++) {
    const before = process.cpuUsage();
    for (let i = 0; i < calls; i++) await call();
    const { user, system } = process.cpuUsage(before);
    if (round > 0) rounds.push((user + system) / 1e6 / calls); // the first one only warms up
  }
  return median(rounds);
}

/** The dearest kind of call: a histogram with as many labels and buckets as any of ours. */
function observe(): () => void {
  const buckets = Array.from({ length: 16 }, (_, i) => 2 ** i);
  const labelNames = ['a', 'b', 'c', 'd', 'e'];
  const histogram = new Histogram({ name: 'x', help: 'x', labelNames, buckets, registers: [new Registry()] });
  let turn = 0;
  return () => histogram.observe({ a: 'a', b: 'b', c: 'c', d: 'd', e: 'e' }, turn++ % 1_000);
}

/** Writes what that line tells once more, as a worker does whose tracing is off. */
function log(line: string): () => void {
  const { worker, message, ...told } = JSON.parse(line) as Record<string, unknown>;
  delete told.severity;
  delete told.time;
  const how = { traceFields: cloudTraceFields('project'), to: destination('/dev/null') };
  const logger = createLogger('info', { worker }, how);
  return () => logger.info(told, String(message));
}

const linesIn = (file: string): string[] => readFileSync(file, 'utf8').trimEnd().split('\n');

/** User and system time of a process; Linux counts it in hundredths. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
