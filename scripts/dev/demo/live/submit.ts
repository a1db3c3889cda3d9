import { randomBytes } from 'node:crypto';
import { JobError } from '../../../../src/domain/errors.js';
import { jobAttributes, type JobMessage, parseJob } from '../../../../src/domain/job.js';
import type { ObjectStore, Publisher } from '../../../../src/domain/ports.js';
import { objectRef, objectUri, under } from '../../../../src/domain/uri.js';
import type { Board } from './board.js';
import { kindOf, KINDS_IN_WORDS } from './pictures.js';

export interface Door {
  readonly store: ObjectStore;
  readonly topic: Publisher;
  readonly signal: AbortSignal;
}

export interface Order {
  readonly bytes: Buffer;
  readonly operations: readonly string[];
  readonly format?: string | undefined;
}

/** What a submission needs. */
export interface SubmitParts {
  readonly board: Board;
  readonly door: Door;
  readonly uploadPrefix: string;
}

type More = Pick<JobMessage, 'group' | 'priority'> & { readonly jobId?: string };

/** @returns the job's id. @throws JobError where it is no job; whatever storage and Pub/Sub throw */
export async function submit(
  { bytes, operations, format }: Order,
  { board, door, uploadPrefix }: SubmitParts,
  { jobId = newId('page'), ...more }: More = { priority: 'interactive' },
): Promise<string> {
  if (bytes.length === 0) throw new JobError('INPUT_EMPTY', 'expected a picture, given nothing');
  const found = kindOf(bytes);
  if (!found) throw new JobError('UNSUPPORTED_FORMAT', `expected ${KINDS_IN_WORDS}`);
  const message = {
    ...{ schemaVersion: 1, jobId, operations: [...operations], ...more },
    input: { uri: objectUri(under(uploadPrefix, `${jobId}/picture.${found.extension}`)) },
    ...(format === undefined ? {} : { output: outputOf(format) }),
  } satisfies JobMessage;
  const job = parseJob(Buffer.from(JSON.stringify(message)));
  const { store, topic, signal } = door;
  await store.create(objectRef(message.input.uri), bytes, { contentType: found.contentType, signal });
  await topic.publish(Buffer.from(JSON.stringify(message)), jobAttributes(message));
  board.submitted(job);
  return jobId;
}

/** A JPEG has no alpha, and which operations make one only their models know. */
function outputOf(format: string): NonNullable<JobMessage['output']> {
  return { format: format as 'png', ...(format === 'jpeg' ? { background: '#ffffff' } : {}) };
}

export const newId = (prefix: string): string =>
  `${prefix}-${Date.now().toString(36)}-${randomBytes(3).toString('hex')}`;
