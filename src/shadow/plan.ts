/** Which shadows a job gets, and what each is to do. */
import type { Completion, Step } from '../domain/completion.js';
import type { Job } from '../domain/job.js';
import type { DoneJob } from '../domain/shadow.js';

/** A job to be done once more, with another version of one model. */
export interface Shadow {
  /** The job as it is to be done: each operation names its version, and the input its generation. */
  readonly job: Job;
  readonly model: string;
  readonly version: string;
  /** The version that did the job's own operation. */
  readonly servedVersion: string;
  /** The job's own result. */
  readonly output: NonNullable<Completion['output']>;
  /** Time that the model's requests took for the job, in seconds. */
  readonly jobSeconds: number;
}

/**
 * The shadows of a job: one for each of its models that has one in the routes. None where the version served the job itself,
 * as it may in an experiment.
 * @param versionFor the version that does the shadow of a model; undefined for a model without one
 */
export function shadowsOf(done: DoneJob, versionFor: (model: string) => string | undefined): Shadow[] {
  const { job, completion, inferenceSeconds } = done;
  const { steps = [], output, input } = completion;
  if (!output || input?.generation === undefined) return [];
  if (steps.length !== job.operations.length) return [];
  return [...new Set(job.operations.map(({ model }) => model))].flatMap((model) => {
    const version = versionFor(model);
    const own = steps.filter((step) => step.model === model);
    const servedVersion = [...new Set(own.flatMap(versionsIn))].join(',');
    if (version === undefined || own.length === 0 || own.some((step) => versionsIn(step).includes(version))) return [];
    return [
      {
        job: withVersion(job, steps, input.generation, { model, version }),
        ...{ model, version, servedVersion, output },
        jobSeconds: secondsOf(job, model, inferenceSeconds),
      },
    ];
  });
}

/** Sum over the operations on one model. */
export function secondsOf({ operations }: Pick<Job, 'operations'>, model: string, seconds: readonly number[]): number {
  return seconds.reduce((sum, one, index) => (operations[index]?.model === model ? sum + one : sum), 0);
}

/** A model that was reloaded during the job may have answered with several. */
const versionsIn = ({ servedVersion }: Step): string[] => servedVersion.split(',');

/**
 * The same work with its versions named. It is a batch job of no tenant, without time limits, so that it is served last and
 * takes nobody's turn.
 */
function withVersion(
  job: Job,
  steps: readonly Step[],
  generation: string | undefined,
  shadow: { readonly model: string; readonly version: string },
): Job {
  const { jobId, input, output, operations } = job;
  return {
    ...{ jobId, output, priority: 'batch' },
    input: { uri: input.uri, ...(generation === undefined ? {} : { generation }) },
    operations: operations.map((operation, index) => {
      const served = steps[index];
      const own = served ? versionsIn(served)[0] : undefined;
      const version = operation.model === shadow.model ? shadow.version : own;
      return { ...operation, ...(version === undefined ? {} : { version }) };
    }),
  };
}
