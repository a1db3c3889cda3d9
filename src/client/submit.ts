import { crc32c } from '../adapters/gcs/crc32c.js';
import type { Completion } from '../domain/completion.js';
import { JobError } from '../domain/errors.js';
import { jobAttributes, type JobMessage } from '../domain/job.js';
import { objectRef } from '../domain/uri.js';
import { recall } from '../records/recall.js';
import type { JobRecord } from '../records/record.js';
import { type JobRequest, requestOf } from '../records/request.js';
import { inSpan } from '../tracing/spans.js';
import type { Parts } from './parts.js';
import { type LocalPicture, readPicture } from './picture.js';
import { type IgnoredField, ignoredOf } from './published.js';
import { leaveReceipt, readReceipt, requestOfReceipt } from './receipt.js';
import { checkRequest, prepare, type Prepared, type SubmitRequest } from './request.js';

/** A job that was submitted, now or before. */
export interface Submitted {
  readonly jobId: string;
  /** The message as it was published: if that was done before, that of the earlier call, as far as it is known. */
  readonly message: JobMessage;
  readonly fingerprint: string;
  /**
   * `published`: by this call. `submitted before`: an earlier call published the same job, and it has not ended.
   * `ended before`: its outcome is in `completion`.
   */
  readonly state: 'published' | 'submitted before' | 'ended before';
  readonly completion?: Completion;
  /**
   * Fields in which this request differs from the message that an earlier call published. They have no effect: neither
   * `message` nor the completion has them. A group that is named here never gets this job.
   */
  readonly ignored: readonly IgnoredField[];
}

/** How a message came to be published. */
export interface Sent extends Pick<Submitted, 'state' | 'completion' | 'fingerprint'> {
  /** Undefined for a job that ended before and of which nothing else is known. */
  readonly published: JobRequest | undefined;
}

export interface SubmitOptions {
  readonly signal?: AbortSignal;
  /** Publish even if the job was submitted before and has not ended: its message may be lost. */
  readonly republish?: boolean;
  /** Called when the local picture is in Cloud Storage, with its address and size. */
  readonly onUpload?: (uri: string, bytes: number) => void;
}

/**
 * Uploads a local picture and publishes its job, unless the same job was submitted before.
 * @throws JobError `INVALID_MESSAGE`, `INPUT_EMPTY`, `INPUT_TOO_LARGE`, `UNSUPPORTED_FORMAT`, before anything is sent;
 *   `JOB_ID_REUSED` when the id stands for another job; `STORAGE_UNAVAILABLE`
 * @throws ClientError `INPUT_UNREADABLE`, `TOPIC_NOT_FOUND`, `PUBSUB_DENIED`, `PUBSUB_UNAVAILABLE`
 */
export function submit(parts: Parts, request: SubmitRequest, options: SubmitOptions = {}): Promise<Submitted> {
  return parts.run(options.signal, async (signal) => {
    const prepared = await prepareRequest(parts, request, signal);
    return submittedOf(prepared, await send(parts, prepared, options, signal));
  });
}

/** What a caller gets to know of its request. */
export function submittedOf(prepared: Prepared, { published, completion, ...sent }: Sent): Submitted {
  const { message, attributes, orderingKey } = prepared;
  const asked = { message, attributes, ...(orderingKey === undefined ? {} : { orderingKey }) };
  return {
    ...{ ...sent, jobId: message.jobId, message: published?.message ?? message },
    ...(completion ? { completion } : {}),
    ignored: published ? ignoredOf(asked, published) : [],
  };
}

/** Reads the picture and builds its message. Nothing is sent. */
export async function prepareRequest(parts: Parts, request: SubmitRequest, signal: AbortSignal): Promise<Prepared> {
  checkRequest(request);
  const { maxInputBytes, uploadPrefix } = parts.settings;
  return prepare(request, await readPicture(request.input, request.name, maxInputBytes, signal), uploadPrefix);
}

/** Uploads and publishes. After the upload it is not interrupted, so that a published job has its receipt. */
export async function send(
  parts: Parts,
  prepared: Prepared,
  { republish = false, onUpload }: SubmitOptions,
  signal: AbortSignal,
): Promise<Sent> {
  const { message, fingerprint, orderingKey } = prepared;
  const { jobId } = message;
  const before = await lookBefore(parts, prepared, onUpload, signal);
  if (before.kind === 'ended') {
    return { fingerprint, state: 'ended before', completion: before.completion, published: before.published };
  }
  if (before.kind === 'submitted' && !republish) {
    return { fingerprint, state: 'submitted before', published: before.published };
  }
  signal.throwIfAborted();
  const attributes = { ...prepared.attributes, ...jobAttributes(message) };
  await parts.publish(Buffer.from(JSON.stringify(message)), attributes, orderingKey);
  const receipt = { fingerprint, submittedAt: new Date().toISOString(), message, attributes, orderingKey };
  await leaveReceipt(parts, jobId, receipt);
  return { fingerprint, published: requestOfReceipt(receipt), state: 'published' };
}

type Before =
  | { readonly kind: 'ended'; readonly completion: Completion; readonly published: JobRequest | undefined }
  | { readonly kind: 'submitted'; readonly published: JobRequest }
  | { readonly kind: 'new' };

/**
 * Uploads the picture, and finds out whether the job was submitted before. An id that was made from the content has its own
 * upload. So if this call is the first to upload, nobody has submitted the job, and nothing else is asked.
 * @throws JobError `JOB_ID_REUSED`
 */
async function lookBefore(
  parts: Parts,
  prepared: Prepared,
  onUpload: SubmitOptions['onUpload'],
  signal: AbortSignal,
): Promise<Before> {
  const { message, fingerprint, picture, ownId } = prepared;
  const { jobId } = message;
  const send = async () => {
    if (!('bytes' in picture)) return false;
    const isNew = await inSpan('upload', {}, () => upload(parts, prepared, picture, signal));
    if (isNew) onUpload?.(message.input.uri, picture.bytes.length);
    return isNew;
  };
  if (ownId && (await send())) return { kind: 'new' };
  const record = await recallQuietly(parts, jobId, signal);
  if (record) {
    await checkSameJob(parts, prepared, record, signal);
    const published = requestOf(record) ?? (await sentBefore(parts, jobId, signal));
    return { kind: 'ended', completion: record.completion, published };
  }
  if (!ownId) await send();
  const receipt = await readReceipt(parts, jobId, signal);
  if (receipt && receipt.fingerprint !== fingerprint) throw reused(jobId);
  return receipt ? { kind: 'submitted', published: requestOfReceipt(receipt) } : { kind: 'new' };
}

/** What a receipt keeps, for a record that keeps no request. */
async function sentBefore(parts: Parts, jobId: string, signal: AbortSignal): Promise<JobRequest | undefined> {
  const receipt = await readReceipt(parts, jobId, signal);
  return receipt && requestOfReceipt(receipt);
}

/** A publisher may lack the right to read records. Then it finds out what became of the job when it waits. */
async function recallQuietly(parts: Parts, jobId: string, signal: AbortSignal): Promise<JobRecord | undefined> {
  try {
    return await recall(parts.singleTryStore, parts.settings.statePrefix, jobId, signal);
  } catch (thrown) {
    signal.throwIfAborted();
    if (thrown instanceof JobError && thrown.code === 'STORAGE_UNAVAILABLE') return undefined;
    throw thrown;
  }
}

/** The fingerprint does not hold the picture's bytes, only its address. So the uploaded bytes are compared, too. */
async function checkSameJob(
  parts: Parts,
  { message, fingerprint, picture, ownId }: Prepared,
  record: JobRecord,
  signal: AbortSignal,
): Promise<void> {
  checkFingerprint(message.jobId, fingerprint, record);
  if (ownId || !('bytes' in picture)) return;
  const info = await parts.store.stat(objectRef(message.input.uri), signal);
  if (info && (info.bytes !== picture.bytes.length || info.crc32c !== crc32c(picture.bytes))) {
    throw reused(message.jobId);
  }
}

/** @throws JobError `JOB_ID_REUSED` when the record is that of another job */
export function checkFingerprint(jobId: string, fingerprint: string, record: JobRecord): void {
  if (record.fingerprint !== null && record.fingerprint !== fingerprint) throw reused(jobId);
}

/** @returns whether the picture was not there before */
async function upload(
  parts: Parts,
  { message }: Prepared,
  { bytes }: LocalPicture,
  signal: AbortSignal,
): Promise<boolean> {
  const options = { contentType: 'application/octet-stream', signal };
  const done = await parts.store.create(objectRef(message.input.uri), bytes, options);
  if (done.kind === 'exists' && !done.sameBytes) throw reused(message.jobId);
  return done.kind === 'created';
}

function reused(jobId: string): JobError {
  const message = `the id ${jobId} stands for another job already (another picture, operation or output): choose another id`;
  return new JobError('JOB_ID_REUSED', message);
}
