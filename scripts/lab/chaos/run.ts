/** One fault run: a load through real parts, faults while it lasts, and then what outsiders have seen of it. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openParts, type Parts } from '../parts.js';
import { openTraffic, type Traffic } from '../traffic.js';
import type { Progress } from '../../dev/progress.js';
import { run } from '../../dev/run.js';
import { until } from '../../dev/until.js';
import { cli, spawnWorker } from '../../dev/workers.js';
import { seeded } from '../random.js';
import { type Crash, crashPoints, readCrashes, refusalPoints } from './crashes.js';
import { createFaults, openProxies, type Proxies } from './faults.js';
import { recordRef } from '../../../src/records/record.js';
import { objectRef } from '../../../src/domain/uri.js';
import { type Fleet, isIdle, startFleet, watchLimits } from './fleet.js';
import { LARGEST_BYTES, LATE_BUCKET, uploadInputs } from './inputs.js';
import { type Accepted, groupBy, judge } from './judge.js';
import { planLoad, type PlannedJob, STAND_INS } from './load.js';
import { planFaults } from './plan.js';
import { drain, readRecords, readResults } from './read-results.js';

export interface ChaosOptions {
  readonly jobs: number;
  readonly seed: number;
  /** The load is published, and the faults are spread, over this time. */
  readonly durationMs: number;
  readonly progress: Progress;
  /** Aborting gives up: everything that was started ends before the promise rejects. */
  readonly signal: AbortSignal;
  readonly logs: string;
}

const NAME = 'chaos';
const WORKERS = 3;
const DRAIN_SECONDS = 10;
const SLACK_MS = 2_000;
const WORKER_ENV = {
  IMAGEN_DRAIN_SECONDS: String(DRAIN_SECONDS),
  // Sooner than a model that hangs goes on, and later than the slowest one answers.
  IMAGEN_INFERENCE_TIMEOUT_SECONDS: '6',
  // Small enough to be reached when jobs come back in a burst.
  IMAGEN_MAX_JOBS: '6',
  IMAGEN_MAX_DECODED_BYTES: String(LARGEST_BYTES),
};
/** A killed worker costs an attempt of all that it held; a killer needs all attempts, at ten seconds each. */
const maxAttempts = (durationMs: number) => (durationMs < SHORT_MS ? 5 : 7);
const SHORT_MS = 120_000;
/** A lease and some more: what was held at the last fault has come again so long after it. */
const SETTLED_MS = 15_000;
/** When the bucket of some results is created, as a part of the whole time. */
const LATE_BUCKET_AT = 0.6;
/** If no completion comes and no worker has a job for so long, the run is over. */
const QUIET_MS = 3_000;
/** Without a completion for so long, what has not ended is lost. */
const PATIENCE_MS = 90_000;

export async function runChaos(options: ChaosOptions) {
  const { progress, signal } = options;
  const env = { ...WORKER_ENV, IMAGEN_MAX_ATTEMPTS: String(maxAttempts(options.durationMs)) };
  const parts = await openParts({ name: NAME, models: STAND_INS, progress, env });
  const closers: (() => unknown)[] = [() => parts.close()];
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
  try {
    signal.throwIfAborted();
    // The emulator forgets messages that wait for their backoff while the stream that had them last ends; without the
    // policy none does, and what is given back comes again at once, which is harder on the workers.
    await parts.pubsub.subscription(parts.env.IMAGEN_JOBS_SUBSCRIPTIONS).setMetadata({ retryPolicy: null });
    return await Promise.race([inParts(parts, options, closers), aborted]);
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

async function inParts(parts: Parts, options: ChaosOptions, closers: (() => unknown)[]) {
  const { jobs, durationMs, progress } = options;
  const random = seeded(options.seed);
  const load = planLoad(jobs, durationMs, await uploadInputs(parts), random);
  const plan = planFaults(jobs, durationMs, random);

  const proxies = await openProxies(parts);
  const crashes = join(parts.dir, 'crashes');
  await mkdir(crashes);
  const traffic = openTraffic(parts);
  const refusals = join(parts.dir, 'refusals');
  const fleet = openFleet(parts, proxies, crashes, refusals, options.logs);
  const faults = createFaults(parts, proxies, fleet, durationMs / 5, refusals);
  closers.push(
    () => traffic.close(),
    () => faults.close(),
    // After a failure workers may still be waiting for their start: those end with the parts.
    () => Promise.race([fleet.stop(), sleep(DRAIN_SECONDS * 1_000, undefined, { ref: false })]),
  );
  await until(() => fleet.up().length >= WORKERS);

  const task = progress.task(NAME);
  const sampling = new AbortController();
  const limits = watchLimits(fleet.up, sampling.signal);
  const accepted: Accepted[] = [];
  const canceled = new Map<string, boolean>();
  const startedAt = performance.now();
  const at = async (ms: number) => sleep(Math.max(0, startedAt + ms - performance.now()));
  task.step(`publishing ${jobs} jobs in ${Math.round(durationMs / 1000)} s`);
  await writeRecords(parts, load);
  const publishing = load.map((job) => publish(parts, job, at, accepted, canceled));
  const late = objectRef(`${LATE_BUCKET}x`).bucket;
  const creating = at(durationMs * LATE_BUCKET_AT).then(() => parts.storage.createBucket(late));
  const injecting = plan.map(async (fault) => {
    await at(fault.atMs);
    await faults.inject(fault);
    progress.say(`${fault.kind} (${fault.dice.toFixed(2)})`);
  });
  await Promise.all([...publishing, ...injecting, creating]);
  const lastFault = Date.now() + faults.stillMs();

  task.step('waiting for the last outcomes');
  await untilAllEnded(accepted, traffic);
  await untilQuiet(fleet, traffic);
  sampling.abort();
  const seenLimits = await limits;
  const deaths = countDeaths(fleet, crashes);
  await fleet.stop();

  task.step('looking for what is left');
  const lastDeath = Math.max(0, ...readCrashes(crashes).map((crash) => crash.at));
  const leftOver = await drain(parts, Math.max(lastDeath, lastFault) + SETTLED_MS);
  const [records, results] = [await readRecords(parts), await readResults(parts)];
  const verdict = judge({
    ...{ accepted, records, results, canceled, leftOver },
    completions: traffic.completions.map(({ body }) => body),
    deadLetters: traffic.deadLetters.map(({ attributes }) => attributes),
  });
  task.done(`${accepted.length} messages, ${traffic.completions.length} completions`);
  return {
    ...{ accepted: accepted.length, completions: traffic.completions.length, verdict, badEnds: fleet.badEnds },
    limits: seenLimits,
    faults: { ...faults.counts(), ...deaths, ...countKinds(load) } as Readonly<Record<string, number>>,
  };
}

/** Workers reach the services through the proxies alone. */
function openFleet(parts: Parts, proxies: Proxies, crashes: string, refusals: string, logs: string): Fleet {
  const env = {
    ...parts.env,
    PUBSUB_EMULATOR_HOST: proxies.pubsub.address,
    STORAGE_EMULATOR_HOST: `http://${proxies.gcs.address}`,
    TRITON_URL: proxies.triton.address,
    ...{ CRASHES: crashes, REFUSALS: refusals },
    IMAGEN_ALLOWED_OUTPUTS: `${parts.env.IMAGEN_ALLOWED_OUTPUTS},${LATE_BUCKET}`,
  };
  const start = (place: number) => {
    const name = `worker-${place}`;
    const how = { preload: [crashPoints, refusalPoints], logFile: join(logs, `${name}.log`) };
    return spawnWorker({ ...env, HOSTNAME: name }, how);
  };
  const isCrash = (pid: number) => readCrashes(crashes).some((crash) => crash.pid === pid);
  return startFleet(WORKERS, start, DRAIN_SECONDS * 1_000 + SLACK_MS, isCrash);
}

async function writeRecords({ storage, env }: Parts, load: readonly PlannedJob[]): Promise<void> {
  for (const { jobId, record } of load) {
    if (record === undefined || jobId === undefined) continue;
    const { bucket, name } = recordRef(env.IMAGEN_STATE_PREFIX, jobId);
    await storage.bucket(bucket).file(name).save(JSON.stringify(record), { resumable: false });
  }
}

const MOST_CANCELS = 4;

/** Publishes the messages of a job, each at its time, and cancels it if that is planned. */
async function publish(
  parts: Parts,
  job: PlannedJob,
  at: (ms: number) => Promise<void>,
  accepted: Accepted[],
  canceled: Map<string, boolean>,
): Promise<void> {
  const topic = parts.pubsub.topic(parts.env.IMAGEN_JOBS_TOPIC);
  await Promise.all(
    job.messages.map(async (message) => {
      await at(message.atMs);
      const body = message.body(Date.now());
      const messageId = await topic.publishMessage({ data: Buffer.from(body) });
      accepted.push({ job, messageId, body });
    }),
  );
  const { jobId, cancelAfterMs } = job;
  if (cancelAfterMs === undefined || jobId === undefined) return;
  await sleep(cancelAfterMs);
  canceled.set(jobId, await cancel(parts, jobId));
}

/** Again where storage does not answer in time, as whoever runs the command would. @returns false when the job had ended */
async function cancel({ env }: Parts, jobId: string): Promise<boolean> {
  for (let failures = 1; ; failures++) {
    try {
      await run(process.execPath, [cli, 'cancel', jobId, '--force'], { env });
      return true;
    } catch (error) {
      const { message } = error as Error;
      if (message.includes('has ended already')) return false;
      if (failures === MOST_CANCELS || !message.includes('STORAGE_UNAVAILABLE')) throw error;
    }
  }
}

async function untilAllEnded(accepted: readonly Accepted[], traffic: Traffic): Promise<void> {
  await until(() => {
    const jobs = new Set(traffic.ended.map(({ completion }) => completion.jobId));
    const messages = new Set(traffic.ended.map(({ completion }) => completion.messageId));
    const hasEnded = ({ job: { jobId }, messageId }: Accepted) =>
      jobId === undefined ? messages.has(messageId) : jobs.has(jobId);
    return accepted.every(hasEnded) || traffic.quietMs() >= PATIENCE_MS;
  });
}

/**
 * A job may end while another message of it is still in work, or put back for some seconds. Gives up after {@link PATIENCE_MS}:
 * what is left in the queue then shows.
 */
async function untilQuiet(fleet: Fleet, traffic: Traffic): Promise<void> {
  const startedAt = performance.now();
  let busyAt = startedAt;
  await until(async () => {
    const idle = await Promise.all(fleet.up().map(isIdle));
    const now = performance.now();
    if (!idle.every(Boolean)) busyAt = now;
    return Math.min(now - busyAt, traffic.quietMs()) >= QUIET_MS || now - startedAt >= PATIENCE_MS;
  });
}

function countDeaths(fleet: Fleet, folder: string) {
  const crashes = readCrashes(folder);
  const kindOf = ({ jobId, step }: Crash) =>
    jobId.endsWith('-kills-its-worker') ? 'crash.killer' : `crash.after.${step}`;
  return {
    'worker.sigkill': fleet.killed(new Set(crashes.map(({ pid }) => pid))),
    'worker.sigterm': fleet.terminated(),
    ...countBy(crashes, kindOf),
  };
}

const countKinds = (load: readonly PlannedJob[]) =>
  countBy(
    load.filter(({ kind }) => kind !== 'good'),
    ({ kind }) => `load.${kind}`,
  );

const countBy = <T>(list: readonly T[], kindOf: (one: T) => string) =>
  Object.fromEntries([...groupBy(list, kindOf)].map(([kind, all]) => [kind, all.length]));
