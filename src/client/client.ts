import type { Completion } from '../domain/completion.js';
import type { CountedGroup, GroupCompletion } from '../domain/group-completion.js';
import { type CancelOptions, type Canceled, cancel } from './cancel.js';
import { download, type DownloadOptions } from './download.js';
import { waitForGroup } from './group.js';
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
 * the same time. None retries a job that has failed.
 */
export interface Client {
  submit(request: SubmitRequest, options?: SubmitOptions): Promise<Submitted>;
  waitFor(job: string | Pick<Submitted, 'jobId' | 'fingerprint'>, options?: WaitOptions): Promise<Completion>;
  waitForGroup(group: CountedGroup, options?: WaitOptions): Promise<GroupCompletion>;
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
  return {
    submit: (request, how) => submit(parts, request, how),
    waitFor: (job, how) => waitFor(parts, job, how),
    waitForGroup: (group, how) => waitForGroup(parts, group, how),
    submitAll: (requests, how) => submitAll(parts, requests, how),
    cancel: (jobId, how) => cancel(parts, jobId, how),
    redrive: (job, how) => redrive(parts, job, how),
    redriveAll: (filter, how) => redriveAll(parts, filter, how),
    jobs: (filter = {}, how = {}) => jobs(parts, filter, how),
    countJobs: (filter = {}, how = {}) => countJobs(parts, filter, how),
    status: (jobId, how) => status(parts, jobId, how),
    download: (job, how) => download(parts, job, how),
    close: () => parts.close(),
  };
}
