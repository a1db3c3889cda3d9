/**
 * The record: one small object that says how a job ended. Whoever creates it has decided the outcome; everybody else
 * reads it and publishes what it holds.
 */
import { z } from 'zod';
import { type Completion, completionSchema } from './completion.js';
import { type ObjectRef, under } from './uri.js';

const recordSchema = z.strictObject({
  fingerprint: z.string().nullable().describe('null: canceled before any worker had seen the message'),
  model: z.string().optional().describe("The completion's model attribute"),
  completion: completionSchema,
});

export interface JobRecord {
  /** Of the job that was decided; `null` in a cancellation, which holds for whatever comes under its id. */
  readonly fingerprint: string | null;
  readonly model?: string | undefined;
  readonly completion: Completion;
}

export function recordRef(statePrefix: string, jobId: string): ObjectRef {
  return under(statePrefix, `${jobId}.json`);
}

export function encodeRecord(record: JobRecord): Buffer {
  return Buffer.from(JSON.stringify(record));
}

/** @throws Error when the object is not a record of ours: nobody may write under the state prefix but the workers. */
export function decodeRecord(bytes: Buffer): JobRecord {
  return recordSchema.parse(JSON.parse(bytes.toString('utf8')));
}
