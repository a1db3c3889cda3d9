/**
 * The record is one small object that says how a job ended. The worker that creates it decides the outcome. All other
 * workers read it and publish its completion.
 */
import { z } from 'zod';
import type { Completion } from '../domain/completion.js';
import { type ObjectRef, under } from '../domain/uri.js';
import type { JobRequest } from './request.js';

export interface JobRecord {
  /** Fingerprint of the decided job. It is `null` in a cancellation, which applies to every message with the id. */
  readonly fingerprint: string | null;
  /** The completion's `model` attribute. */
  readonly model?: string | undefined;
  /** Whether a dead letter goes with the completion. Workers before 0.2 omit it; then the error's code says it. */
  readonly deadLetter?: boolean | undefined;
  /** The completion as decided. A newer worker may have written fields, codes and statuses that this one does not know. */
  readonly completion: Completion;
  /** What the publisher sent. Read it with `requestOf`: a record of another version may hold something else, or nothing. */
  readonly request?: JobRequest | undefined;
}

/**
 * Checks only the fields that are needed to publish the completion again. During a rollout and after a rollback, a worker
 * reads records of other versions. It must repeat their outcome, even if other fields differ.
 */
const recordSchema = z.looseObject({
  fingerprint: z.string().nullable(),
  model: z.string().optional(),
  deadLetter: z.boolean().optional(),
  completion: z.looseObject({
    eventId: z.string(),
    jobId: z.string().optional(),
    status: z.string(),
    error: z.looseObject({ code: z.string(), message: z.string().optional() }).optional(),
  }),
});

export function recordRef(statePrefix: string, jobId: string): ObjectRef {
  return under(statePrefix, `${jobId}.json`);
}

export function encodeRecord(record: JobRecord): Buffer {
  return Buffer.from(JSON.stringify(record));
}

/**
 * Parses a record of any version. The completion is the parsed value itself, not a copy. JSON keeps the order of keys, so
 * `JSON.stringify` gives the same bytes as the first publish.
 * @returns a sentence that says what is wrong, if it is not a record
 */
export function decodeRecord(bytes: Buffer): JobRecord | string {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    return `expected a record as JSON, found ${bytes.length} bytes that are none`;
  }
  const parsed = recordSchema.safeParse(value);
  if (parsed.success) return value as JobRecord;
  const wrong = parsed.error.issues.map(({ path }) => path.join('.') || 'the whole').join(', ');
  return `expected a record, found JSON whose fields differ: ${wrong}`;
}
