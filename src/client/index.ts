/** The publisher's library, `@imagen-triton/imagen/client`: see docs/publishing.md. */
export type { Canceled, CancelOptions } from './cancel.js';
export { type Client, createClient } from './client.js';
export type { DownloadOptions } from './download.js';
export { ClientError, type ClientErrorCode } from './errors.js';
export type { EndedJob, JobCounts, JobFilter, JobsOptions } from './jobs.js';
export type { ClientOptions } from './options.js';
export type { RedriveAllOptions, Redriven, RedriveJob, RedriveOptions, RedriveState } from './redrive.js';
export type { PictureInput, SubmitRequest } from './request.js';
export type { JobStatus } from './status.js';
export type { Submitted, SubmitOptions } from './submit.js';
export type { Outcome, Progress, SubmitAllOptions } from './submit-all.js';
export type { WaitOptions } from './wait-for.js';
export { ConfigError } from '../config/index.js';
export type { Completion } from '../domain/completion.js';
export type { CountedGroup, GroupCompletion, GroupCounts } from '../domain/group-completion.js';
export { type ErrorCode, JobError } from '../domain/errors.js';
export type { JobMessage } from '../domain/job.js';
export type { JobRequest } from '../records/request.js';
