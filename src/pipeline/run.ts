/**
 * The pipeline: the steps of a job, and the loop that runs them.
 * The steps before (parse, recall) and after (record, publish, ack) apply to every message, even if its job fails. They
 * are in worker/.
 */
import type { Job } from '../domain/job.js';
import type { StoredJobState, JobState } from './job-state.js';
import {
  decodeStep,
  encodeStep,
  fetchStep,
  formatStep,
  headerStep,
  inferStep,
  memoryStep,
  type PipelineStep,
  planStep,
  routeStep,
  storeStep,
  targetStep,
} from './steps.js';

/** The steps from the bytes of a picture, whose operations are routed, to the bytes of the result. They need no storage. */
export const renderSteps = ({ operations }: Job): readonly PipelineStep[] => [
  headerStep,
  planStep,
  memoryStep,
  decodeStep,
  formatStep,
  ...operations.map(({ model }, index) => inferStep(index, model)),
  encodeStep,
];

/** Steps of a job from Pub/Sub. */
export const jobSteps = (job: Job): readonly PipelineStep<StoredJobState>[] => [
  routeStep,
  targetStep,
  fetchStep,
  ...renderSteps(job),
  storeStep,
];

/** Steps of a job that is done once more, for a result that goes elsewhere. */
export const repeatSteps = (job: Job): readonly PipelineStep<StoredJobState>[] => [
  routeStep,
  fetchStep,
  ...renderSteps(job),
];

/** Steps of a local picture; the state must have its bytes. */
export const localSteps = (job: Job): readonly PipelineStep[] => [routeStep, ...renderSteps(job)];

/**
 * Runs the steps in order. The context checks the time before each one, makes its span, and adds its time to the timings.
 * What a job finds out is in `state.context`, even when a step throws.
 * @throws JobError of the step that failed; GivenBack when the worker must release the job
 */
export async function runSteps<S extends JobState>(steps: readonly PipelineStep<S>[], state: S): Promise<void> {
  try {
    for (const step of steps) await state.context.runStep(step, () => step.run(state));
  } finally {
    state.release();
  }
}
