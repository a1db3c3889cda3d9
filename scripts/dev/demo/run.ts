/** The path of each job as a publisher sees it: `imagen submit --wait`. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import type { Completion } from '../../../src/domain/completion.js';
import type { Progress } from '../progress.js';
import { run } from '../run.js';
import { cli } from '../workers.js';
import { untilGone, type DemoStack } from './demo-stack.js';
import type { DemoJob } from './jobs.js';

export interface Outcome {
  readonly job: DemoJob;
  readonly jobId: string;
  /** Absent when none was seen in time. */
  readonly completion?: Completion | undefined;
  readonly problem?: { readonly code: string; readonly message: string };
  readonly before: string;
  readonly after?: string;
}

export interface Run {
  readonly outcomes: readonly Outcome[];
  /** From the first upload to the last download. */
  readonly wallMs: number;
}

interface Place {
  readonly demoStack: Pick<DemoStack, 'env' | 'worker'>;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  readonly folder: string;
}

/** Generous: on two busy processors all six take some ten seconds. */
const LIMIT_SECONDS = '300';

/** All at once, as they would come. Rejects only when it is given up. */
export async function runJobs(jobs: readonly DemoJob[], place: Place): Promise<Run> {
  const ended = new AbortController();
  const signal = AbortSignal.any([place.signal, ended.signal]);
  const runId = `demo-${Date.now().toString(36)}`;
  const gone = untilGone(place.demoStack.worker, ended.signal).catch((error: unknown) => ended.abort(error));
  const start = Date.now();
  try {
    const outcomes = await Promise.all(jobs.map((job) => travel(job, `${runId}.${job.name}`, { ...place, signal })));
    place.signal.throwIfAborted();
    return { outcomes, wallMs: Date.now() - start };
  } finally {
    ended.abort();
    await gone;
  }
}

async function travel(job: DemoJob, jobId: string, { demoStack, progress, signal, folder }: Place): Promise<Outcome> {
  const task = progress.task(job.name);
  const before = `${job.name}-before${extname(job.photo)}`;
  const result = join(folder, `${job.name}-after`);
  let completion: Completion | undefined;
  const failed = (code: string, message: string): Outcome => {
    task.fail(`${code}: ${message}`);
    return { job, jobId, completion, problem: { code, message }, before };
  };
  try {
    const photo = await readFile(job.photo);
    await writeFile(join(folder, before), job.prepare ? await job.prepare(photo) : photo);
    task.step('under way');
    const what = ['submit', join(folder, before), '--job-id', jobId, '--operation', job.operations.join()];
    const how = ['--wait', '--wait-seconds', LIMIT_SECONDS, '--download', result, '--json'];
    completion = await run(process.execPath, [cli, ...what, ...how], { env: demoStack.env, signal }).then(
      ({ stdout }) => JSON.parse(stdout) as Completion,
      completionIn,
    );
    const { status, output, error, timingsMs } = completion;
    if (status !== 'succeeded' || !output) {
      return failed(error?.code ?? status.toUpperCase(), error?.message ?? 'no reason was given');
    }
    const after = `${job.name}-after${extname(output.uri)}`;
    await rename(result, join(folder, after));
    task.done(`done in ${Math.round(timingsMs?.total ?? 0)} ms, ${output.width} x ${output.height}`);
    return { job, jobId, completion, before, after };
  } catch (error) {
    const reason: unknown = signal.aborted ? signal.reason : error;
    return failed('NO_OUTCOME', reason instanceof Error ? reason.message : String(reason));
  }
}

/** What it has printed although it failed: that of a job that did. @throws the error where it has printed none */
function completionIn(error: Error): Completion {
  const { stdout = '' } = error.cause as { readonly stdout?: string };
  if (stdout === '') throw error;
  return JSON.parse(stdout) as Completion;
}
