/** What a caller asks for, and the job message that it becomes. */
import { basename } from 'node:path';
import { z } from 'zod';
import { canonicalJson, fingerprint, sha256 } from '../domain/fingerprint.js';
import { type Job, type JobMessage, originalOf, parseJob, SCHEMA_VERSION } from '../domain/job.js';
import { JobError } from '../domain/errors.js';
import { describeIssues, show } from '../domain/issues.js';
import { objectUri, under } from '../domain/uri.js';
import type { Picture, PictureInput } from './picture.js';

export type SubmitRequest = Omit<JobMessage, 'schemaVersion' | 'jobId' | 'input'> & {
  readonly input: PictureInput;
  /** For a `gs://` input: the generation to read. Without it, the worker reads the current one. */
  readonly generation?: string | undefined;
  /** File name of bytes and streams, for the upload and the job's id. */
  readonly name?: string | undefined;
  /**
   * The idempotency key. By default it is made from the picture's bytes (or its address), its name, the operations and the
   * output: the same request has the same id, and is submitted once.
   */
  readonly jobId?: string | undefined;
  /** Attributes for the filters of subscriptions, beside `model`, `priority` and `tenant`. */
  readonly attributes?: Readonly<Record<string, string>> | undefined;
  readonly orderingKey?: string | undefined;
};

/** A request that was checked, and what to publish for it. */
export interface Prepared {
  readonly message: JobMessage;
  readonly job: Job;
  readonly fingerprint: string;
  readonly picture: Picture;
  /** Whether the id was made from the content, so that no other picture can have it. */
  readonly ownId: boolean;
  readonly attributes: Readonly<Record<string, string>>;
  readonly orderingKey: string | undefined;
}

/**
 * Checks what the worker's parser does not see, and what cannot be turned into JSON.
 * @throws JobError `INVALID_MESSAGE`
 */
export function checkRequest(request: unknown): asserts request is SubmitRequest {
  if (typeof request !== 'object' || request === null || Array.isArray(request)) {
    throw invalid(`expected a request with input and operations, given ${show(request)}`);
  }
  const { input, name, attributes, orderingKey, ...fields } = request as Readonly<Record<string, unknown>>;
  if (!isInput(input)) {
    const given = input === undefined ? 'nothing' : show(input);
    throw invalid(`input: expected a path, a gs:// address, bytes or a stream of bytes, given ${given}`);
  }
  for (const [field, value] of Object.entries({ name, orderingKey })) {
    if (value !== undefined && typeof value !== 'string') {
      throw invalid(`${field}: expected a text, given ${show(value)}`);
    }
  }
  const parsed = ATTRIBUTES.safeParse(attributes, { reportInput: true });
  if (!parsed.success) throw invalid(describeIssues(parsed.error.issues, ['attributes']).join('; '));
  for (const [field, value] of Object.entries(fields)) {
    try {
      JSON.stringify(value);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
      throw new JobError('INVALID_MESSAGE', `${field}: expected values that JSON can hold: ${why}`, { cause });
    }
  }
}

const ATTRIBUTES = z.record(z.string(), z.string()).optional();

function isInput(input: unknown): input is PictureInput {
  if (typeof input === 'string') return input !== '';
  return typeof input === 'object' && input !== null && (input instanceof Uint8Array || Symbol.asyncIterator in input);
}

/**
 * Builds the message and checks it with the worker's parser.
 * @throws JobError `INVALID_MESSAGE`, which names every wrong field
 */
export function prepare(request: SubmitRequest, picture: Picture, uploadPrefix: string | undefined): Prepared {
  const { generation, jobId: given, attributes, orderingKey, ...fields } = request;
  const jobId = given ?? jobIdOf(request, picture);
  const uri = 'uri' in picture ? picture.uri : uploadUri(uploadPrefix, jobId, picture.name);
  const json = JSON.stringify({
    ...{ schemaVersion: SCHEMA_VERSION, jobId },
    ...fields,
    ...{ name: undefined, input: { uri, generation } },
  });
  const job = parseJob(Buffer.from(json));
  // What JSON makes of it, not the caller's own objects: a date in the metadata is a text when it is published.
  const message = JSON.parse(json) as JobMessage;
  return {
    ...{ message, job, fingerprint: fingerprint(job), picture, ownId: given === undefined },
    ...{ attributes: attributes ?? {}, orderingKey },
  };
}

/** The id of a request without one: the picture's name, and a hash of its content and of what shall become of it. */
function jobIdOf({ operations, output, generation, redriveOf }: SubmitRequest, picture: Picture): string {
  if (redriveOf !== undefined) return `${originalOf(redriveOf)}~r1`;
  const content = 'uri' in picture ? { uri: picture.uri, generation } : { sha256: picture.sha256, name: picture.name };
  const hash = sha256(canonicalJson({ content, operations, output })).slice(0, 24);
  return `${stemOf('uri' in picture ? picture.uri : picture.name)}-${hash}`;
}

/** The file name without its extension, as far as an id may hold it. */
export function stemOf(path: string): string {
  const stem = basename(path)
    .replace(/\.[^.]*$/, '')
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '');
  return stem.slice(0, 80) || 'job';
}

function uploadUri(prefix: string | undefined, jobId: string, name: string): string {
  if (prefix === undefined) {
    throw invalid('input: expected gs://…, because no upload prefix is set, given a local file');
  }
  return objectUri(under(prefix, `${jobId}/${name}`));
}

function invalid(message: string): JobError {
  return new JobError('INVALID_MESSAGE', message);
}
