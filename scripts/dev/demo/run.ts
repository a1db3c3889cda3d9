/** The path of each job as a publisher sees it: upload, publish, wait on the record, download. */
import { readFile, writeFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createObjectStore } from '../../../src/adapters/gcs/store.js';
import { createPubSubClient } from '../../../src/adapters/pubsub/client.js';
import { createPublisher } from '../../../src/adapters/pubsub/publisher.js';
import type { Completion } from '../../../src/domain/completion.js';
import { JobError } from '../../../src/domain/errors.js';
import type { JobMessage } from '../../../src/domain/job.js';
import type { ObjectStore, Publisher } from '../../../src/domain/ports.js';
import { objectRef, objectUri, under } from '../../../src/domain/uri.js';
import { recall } from '../../../src/records/recall.js';
import type { Progress, Task } from '../progress.js';
import { untilGone, type House } from './house.js';
import type { DemoJob } from './jobs.js';
import { send } from './send.js';

export interface Outcome {
  readonly job: DemoJob;
  readonly message: JobMessage;
  /** Absent when none was seen in time. */
  readonly completion?: Completion;
  readonly problem?: { readonly code: string; readonly message: string };
  /** Names of pictures in the demo's folder. */
  readonly before: string;
  readonly after?: string;
}

export interface Run {
  readonly outcomes: readonly Outcome[];
  /** From the first upload to the last download. */
  readonly wallMs: number;
}

interface Place {
  readonly house: House;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Where the pictures go. */
  readonly folder: string;
}

/** Generous: on two busy processors all six take some ten seconds. */
const limitMs = 300_000;
const pollMs = 100;

/** All at once, as they would come. Rejects only when it is given up or the worker is gone. */
export async function runJobs(jobs: readonly DemoJob[], { house, progress, signal, folder }: Place): Promise<Run> {
  const { env } = house;
  const ended = new AbortController();
  const limit = AbortSignal.any([signal, ended.signal, AbortSignal.timeout(limitMs)]);
  const pubsub = createPubSubClient({ projectId: env.GOOGLE_CLOUD_PROJECT, emulator: env.PUBSUB_EMULATOR_HOST });
  const trip: Trip = {
    ...{ env, folder, signal: limit, runId: `demo-${Date.now().toString(36)}` },
    store: createObjectStore({ emulator: env.STORAGE_EMULATOR_HOST }),
    topic: createPublisher(pubsub, env.IMAGEN_JOBS_TOPIC),
  };
  const gone = untilGone(house.worker, ended.signal).catch((error: unknown) => {
    ended.abort(error);
  });
  const start = Date.now();
  try {
    const outcomes = await Promise.all(jobs.map((job) => travel(job, trip, progress.task(job.name))));
    signal.throwIfAborted();
    return { outcomes, wallMs: Date.now() - start };
  } finally {
    ended.abort();
    await gone;
    await pubsub.close();
  }
}

interface Trip {
  readonly env: House['env'];
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly runId: string;
  readonly store: ObjectStore;
  readonly topic: Publisher;
}

async function travel(job: DemoJob, trip: Trip, task: Task): Promise<Outcome> {
  const jobId = `${trip.runId}.${job.name}`;
  const before = `${job.name}-before${extname(job.photo)}`;
  const uri = objectUri(under(trip.env.IMAGEN_UPLOAD_PREFIX, `${jobId}/${basename(job.photo)}`));
  const message: JobMessage = {
    ...{ schemaVersion: 1, jobId, operations: job.operations },
    ...{ input: { uri }, priority: 'interactive' },
  };
  let completion: Completion | undefined;
  try {
    task.step('uploading');
    const photo = await readFile(job.photo);
    const bytes = job.prepare ? await job.prepare(photo) : photo;
    await writeFile(join(trip.folder, before), bytes);
    await send(message, { bytes, contentType: 'image/jpeg' }, trip);
    task.step('queued');
    completion = await outcomeOf(jobId, trip);
    const { status, output, error, timingsMs } = completion;
    if (status !== 'succeeded' || !output) {
      const problem = error ?? { code: status.toUpperCase(), message: 'no reason was given' };
      task.fail(`${problem.code}: ${problem.message}`);
      return { job, message, completion, problem, before };
    }
    task.step('downloading');
    const after = `${job.name}-after${extname(output.uri)}`;
    await writeFile(join(trip.folder, after), await download(output, trip));
    task.done(`done in ${Math.round(timingsMs?.total ?? 0)} ms, ${output.width} x ${output.height}`);
    return { job, message, completion, before, after };
  } catch (error) {
    const reason: unknown = trip.signal.aborted ? trip.signal.reason : error;
    const problem = {
      code: reason instanceof JobError ? reason.code : 'NO_OUTCOME',
      message: reason instanceof Error ? reason.message : String(reason),
    };
    task.fail(`${problem.code}: ${problem.message}`);
    return { job, message, ...(completion ? { completion } : {}), problem, before };
  }
}

/** The record and not the completions topic: whoever else reads that does not take our answer away. */
async function outcomeOf(jobId: string, { store, env, signal }: Trip): Promise<Completion> {
  for (;;) {
    const record = await recall(store, env.IMAGEN_STATE_PREFIX, jobId, signal);
    if (record) return record.completion;
    await sleep(pollMs, undefined, { signal });
  }
}

async function download(
  { uri, generation, bytes }: NonNullable<Completion['output']>,
  { store, signal }: Trip,
): Promise<Buffer> {
  const found = await store.read({ ...objectRef(uri), generation }, { maxBytes: bytes, signal });
  if (found.kind !== 'found') throw new Error(`${uri} is no longer there`);
  return found.bytes;
}
