/**
 * The record: one small object that says how a job ended. Whoever creates it has decided the outcome; everybody else
 * reads it and publishes what it holds.
 */
import { z } from 'zod';
import type { Completion } from '../domain/completion.js';
import { type ObjectRef, under } from '../domain/uri.js';

export interface JobRecord {
  /** Of the job that was decided; `null` in a cancellation, which holds for whatever comes under its id. */
  readonly fingerprint: string | null;
  /** The completion's `model` attribute. */
  readonly model?: string | undefined;
  /** A dead letter goes with the completion. Absent in records of workers before 0.2: then the error's code says it. */
  readonly deadLetter?: boolean | undefined;
  /** As it was decided. A newer worker may have written fields, codes and statuses that this one does not know. */
  readonly completion: Completion;
}

/**
 * Only what is needed to publish the completion again. A worker reads records of other versions too, during a rollout and
 * after a rollback, and what was decided must be repeated whatever else it says.
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
 * Reads a record of any version. The completion is the parsed value itself and no copy, so that `JSON.stringify` gives
 * the bytes that its first publish had: JSON keeps the order of keys.
 * @returns a sentence that says what is wrong with it, when it is no record
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
