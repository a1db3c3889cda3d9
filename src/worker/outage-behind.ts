/** The outage behind a time limit that has passed. */
import { type ErrorCode, JobError, type Need, type Stage } from '../domain/errors.js';
import type { Job } from '../domain/job.js';
import type { ObjectStore } from '../domain/ports.js';
import { type ObjectRef, objectRef } from '../domain/uri.js';
import { FORMATS } from '../pipeline/formats/index.js';
import type { JobContext } from '../pipeline/job-context.js';
import { chooseTarget } from '../pipeline/target.js';
import type { Worker } from './context.js';
import type { Message } from './message.js';
import { unavailable } from './outcome.js';

/** A service that takes longer than this for a small request counts as away, in milliseconds. */
const ANSWERS_WITHIN_MS = 1_000;

/** Time limit to look for a fault at all replicas, in milliseconds. */
const FAULT_WITHIN_MS = 10_000;

/** A small request to what the job may have waited for. */
interface Probe {
  readonly code: ErrorCode;
  readonly name: string;
  readonly needs?: Need;
  readonly ask: (signal: AbortSignal) => Promise<unknown>;
}

/**
 * Looks for an outage that the job itself has not noticed when its time limit passed: its requests waited behind those of
 * other jobs, or a service has not answered them. The time limit ends the job only if there is none.
 * @param stage where the job was
 * @returns the outage, as an error that puts the job off
 */
export async function outageBehind(
  worker: Worker,
  { job, needs }: Message,
  context: JobContext,
  stage: Stage,
): Promise<JobError | undefined> {
  const { parts, options } = worker;
  const away = parts.availability.broken(needs);
  if (away) return unavailable(away, stage);
  const probes: Probe[] = [];
  // This applies at every stage: routing asks Triton, and that may have taken the time.
  const operation = job.operations[context.steps.length];
  if (operation) {
    const { model } = operation;
    probes.push(modelProbe(model, (signal) => parts.models.refresh(signal, { model })));
  }
  if (stage === 'fetch') probes.push(bucketProbe(parts.singleTryStore, objectRef(job.input.uri), 'read'));
  if (stage === 'store') {
    const output = chooseTarget(job, options.pipeline.target)(FORMATS.webp);
    probes.push(bucketProbe(parts.singleTryStore, output, 'create'));
  }
  const outages = await Promise.all(probes.map((probe) => outageOf(probe, stage)));
  const outage = outages.find((one) => one !== undefined);
  if (outage || stage !== 'infer' || !operation) return outage;
  const since = performance.now() - context.timings().total;
  try {
    const fault = await parts.models.faultOf(nameOf(operation), since, AbortSignal.timeout(FAULT_WITHIN_MS));
    const meanwhile = parts.availability.broken(needs);
    return fault ?? (meanwhile && unavailable(meanwhile, stage));
  } catch (thrown) {
    return JobError.from(thrown, stage);
  }
}

/** Leaves out the version that the routes chose, because it is not kept. Any version that fails may explain the wait. */
const nameOf = ({ model, version }: Job['operations'][number]) =>
  version === undefined ? { model } : { model, version };

const modelProbe = (name: string, ask: Probe['ask']): Probe => ({
  ...{ code: 'MODEL_UNAVAILABLE', name: `model ${name}`, needs: { kind: 'model', name }, ask },
});

const bucketProbe = (store: ObjectStore, ref: ObjectRef, access: 'read' | 'create'): Probe => ({
  ...{ code: 'STORAGE_UNAVAILABLE', name: `bucket ${ref.bucket}` },
  ask: (signal) => store.checkAccess(ref, access, signal),
});

async function outageOf({ code, name, needs, ask }: Probe, stage: Stage): Promise<JobError | undefined> {
  const limit = AbortSignal.timeout(ANSWERS_WITHIN_MS);
  try {
    await ask(limit);
    return undefined;
  } catch (thrown) {
    if (!limit.aborted) return JobError.from(thrown, stage);
    const message = `${name}: the server has not answered within ${ANSWERS_WITHIN_MS} ms`;
    return new JobError(code, message, { stage, ...(needs ? { needs } : {}) });
  }
}
