import type { Completion } from '../domain/completion.js';
import type { CountedGroup, GroupCompletion } from '../domain/group-completion.js';
import {
  checkCountedGroup,
  checkEnded,
  checkFilter,
  checkJob,
  checkJobId,
  checkOptions,
  checkRequests,
} from './arguments.js';
import { type CancelOptions, type Canceled, cancel } from './cancel.js';
import { download, type DownloadOptions } from './download.js';
import { waitForGroup } from './group.js';
import { checkGroupTotals } from './group-totals.js';
import { countJobs, type EndedJob, type JobCounts, type JobFilter, jobs, type JobsOptions } from './jobs.js';
import { type ClientOptions, settingsFrom } from './options.js';
import { createParts } from './parts.js';
import {
  redrive,
  redriveAll,
  type RedriveAllOptions,
  type Redriven,
  type RedriveJob,
  type RedriveOptions,
} from './redrive.js';
import type { SubmitRequest } from './request.js';
import { type JobStatus, status } from './status.js';
import { submit, type SubmitOptions, type Submitted } from './submit.js';
import { type Outcome, submitAll, type SubmitAllOptions } from './submit-all.js';
import { waitFor, type WaitOptions } from './wait-for.js';

/**
 * Publishes jobs and reads what became of them. Each function is described in the file of its name. All of them may run at
 * the same time. None retries a job that has failed. Each refuses wrong arguments and unknown options with the ClientError
 * `INVALID_ARGUMENT`.
 */
export interface Client {
  submit(request: SubmitRequest, options?: SubmitOptions): Promise<Submitted>;
  waitFor(job: string | Pick<Submitted, 'jobId' | 'fingerprint'>, options?: WaitOptions): Promise<Completion>;
  waitForGroup(group: CountedGroup, options?: Omit<WaitOptions, 'by'>): Promise<GroupCompletion>;
  submitAll<R extends SubmitRequest>(
    requests: AsyncIterable<R> | Iterable<R>,
    options?: SubmitAllOptions<R>,
  ): AsyncGenerator<Outcome<R>, void, void>;
  cancel(jobId: string, options?: CancelOptions): Promise<Canceled>;
  redrive(job: string | RedriveJob, options?: RedriveOptions): Promise<Redriven>;
  redriveAll(filter: JobFilter, options?: RedriveAllOptions): AsyncGenerator<Redriven, void, void>;
  jobs(filter?: JobFilter, options?: JobsOptions): AsyncGenerator<EndedJob, void, void>;
  countJobs(filter?: JobFilter, options?: JobsOptions): Promise<JobCounts>;
  status(jobId: string, options?: { readonly signal?: AbortSignal }): Promise<JobStatus>;
  download(job: string | Completion, options?: DownloadOptions): Promise<Buffer>;
  /** Ends what is under way with the error `CLOSED`, and closes the connections. */
  close(): Promise<void>;
}

/**
 * Checks the settings and opens nothing: connections are opened when they are first needed.
 * @throws ConfigError that names every setting that is missing or wrong, by its variable
 */
export function createClient(options: ClientOptions = {}): Client {
  const parts = createParts(settingsFrom(options));
  // Functions that return a promise reject it. Those that are iterated throw at the call, before the first step.
  return {
    async submit(request, how) {
      checkOptions('submit', how);
      return submit(parts, request, how);
    },
    async waitFor(job, how) {
      checkJob(job);
      checkOptions('wait', how);
      return waitFor(parts, job, how);
    },
    async waitForGroup(group, how) {
      checkCountedGroup(group);
      checkOptions('waitForGroup', how);
      return waitForGroup(parts, group, how);
    },
    submitAll(requests, how) {
      checkRequests(requests);
      checkOptions('submitAll', how);
      if (Array.isArray(requests)) checkGroupTotals(requests);
      return submitAll(parts, requests, how);
    },
    async cancel(jobId, how) {
      checkJobId(jobId);
      checkOptions('cancel', how);
      return cancel(parts, jobId, how);
    },
    async redrive(job, how) {
      checkJob(job);
      checkOptions('redrive', how);
      return redrive(parts, job, how);
    },
    redriveAll(filter, how) {
      checkFilter(filter);
      checkOptions('redriveAll', how);
      return redriveAll(parts, filter, how);
    },
    jobs(filter = {}, how = {}) {
      checkFilter(filter);
      checkOptions('jobs', how);
      return jobs(parts, filter, how);
    },
    async countJobs(filter = {}, how = {}) {
      checkFilter(filter);
      checkOptions('jobs', how);
      return countJobs(parts, filter, how);
    },
    async status(jobId, how) {
      checkJobId(jobId);
      checkOptions('status', how);
      return status(parts, jobId, how);
    },
    async download(job, how) {
      checkEnded(job);
      checkOptions('download', how);
      return download(parts, job, how);
    },
    close: () => parts.close(),
  };
}
