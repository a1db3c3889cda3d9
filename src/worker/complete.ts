/** Builds completions: the only place that decides which fields each kind of end has. */
import type { Completion, Status } from '../domain/completion.js';
import type { JobError } from '../domain/errors.js';
import { eventIdOfJob, eventIdOfMessage } from '../domain/fingerprint.js';
import { type Job, SCHEMA_VERSION, type Salvaged } from '../domain/job.js';
import type { Delivery } from '../domain/ports.js';
import type { JobContext } from '../pipeline/job-context.js';

/** The completion of a job that was worked on, or at least started. */
export function completionOf(
  job: Job,
  fingerprint: string,
  delivery: Delivery,
  context: JobContext,
  end: { readonly status: Status; readonly error?: JobError },
  worker: string,
): Completion {
  return {
    ...headOf(job, fingerprint, end),
    input: context.input ?? inputOf(job),
    ...(end.status === 'succeeded' && context.output ? { output: context.output } : {}),
    ...(context.steps.length > 0 ? { steps: [...context.steps] } : {}),
    warnings: [...context.warnings],
    attempt: Math.max(1, delivery.attempt),
    timingsMs: context.timings(),
    ...tailOf(job, delivery),
    worker,
  };
}

/**
 * The completion of a job that cannot have a record because its id belongs to another job. Nothing makes it final, so it
 * describes the message and not the job. Its identity is the Pub/Sub id of the message, and it holds only what every
 * delivery would repeat.
 */
export function completionWithoutRecord(job: Job, delivery: Delivery, error: JobError): Completion {
  return {
    schemaVersion: SCHEMA_VERSION,
    eventId: eventIdOfMessage(delivery.messageId),
    ...identityOf(job),
    status: 'failed',
    error: describeError(error),
    input: inputOf(job),
    ...tailOf(job, delivery),
  };
}

/**
 * The completion of an unreadable message. Its identity is the Pub/Sub id, and it too holds only what every delivery would
 * repeat.
 */
export function completionOfUnreadable(delivery: Delivery, { metadata, ...id }: Salvaged, error: JobError): Completion {
  return {
    schemaVersion: SCHEMA_VERSION,
    eventId: eventIdOfMessage(delivery.messageId),
    ...id,
    status: 'failed',
    error: describeError(error),
    ...(metadata === undefined ? {} : { metadata }),
    messageId: delivery.messageId,
  };
}

function headOf(job: Job, fingerprint: string, end: { readonly status: Status; readonly error?: JobError }) {
  return {
    schemaVersion: SCHEMA_VERSION as typeof SCHEMA_VERSION,
    eventId: eventIdOfJob(job.jobId, fingerprint),
    ...identityOf(job),
    status: end.status,
    ...(end.error === undefined ? {} : { error: describeError(end.error) }),
  };
}

function identityOf({ jobId, redriveOf, group, tenant }: Job) {
  return {
    jobId,
    ...(redriveOf === undefined ? {} : { redriveOf }),
    ...(group === undefined ? {} : { group }),
    ...(tenant === undefined ? {} : { tenant }),
  };
}

function tailOf(job: Job, delivery: Delivery) {
  return { ...(job.metadata === undefined ? {} : { metadata: job.metadata }), messageId: delivery.messageId };
}

function inputOf({ input }: Job) {
  return { uri: input.uri, ...(input.generation === undefined ? {} : { generation: input.generation }) };
}

const MAX_ERROR_LENGTH = 1_000;

function describeError(error: JobError) {
  const { code, stage, retryable } = error;
  return { code, stage, retryable, message: error.message.slice(0, MAX_ERROR_LENGTH) };
}
