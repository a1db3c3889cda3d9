/**
 * The receipt: a small object beside the upload that says that a job was published. A client that submits the same job
 * again, on any machine, finds it and does not publish a second time. It is written after Pub/Sub has accepted the
 * message. It is best effort: without it, a job is published again at worst, and the record still decides its one
 * outcome.
 */
import { z } from 'zod';
import { type JobMessage, jobSchema } from '../domain/job.js';
import { type ObjectRef, under } from '../domain/uri.js';
import type { JobRequest } from '../records/request.js';
import type { Parts } from './parts.js';

const receiptSchema = z.looseObject({
  fingerprint: z.string(),
  submittedAt: z.string(),
  message: jobSchema,
  attributes: z.record(z.string(), z.string()).optional(),
  orderingKey: z.string().optional(),
});

export interface Receipt {
  readonly fingerprint: string;
  /** RFC 3339 */
  readonly submittedAt: string;
  readonly message: JobMessage;
  readonly attributes?: Readonly<Record<string, string>> | undefined;
  readonly orderingKey?: string | undefined;
}

const MAX_BYTES = 262_144;
/** Time limit for writing a receipt, in milliseconds. */
const WRITE_LIMIT_MS = 5_000;

function receiptRef(uploadPrefix: string, jobId: string): ObjectRef {
  return under(uploadPrefix, `${jobId}/submitted.json`);
}

/** @returns undefined if there is none, or if these credentials may not read it */
export async function readReceipt(parts: Parts, jobId: string, signal: AbortSignal): Promise<Receipt | undefined> {
  const { uploadPrefix } = parts.settings;
  if (uploadPrefix === undefined) return undefined;
  try {
    const ref = receiptRef(uploadPrefix, jobId);
    const found = await parts.singleTryStore.read(ref, { maxBytes: MAX_BYTES, signal });
    if (found.kind !== 'found') return undefined;
    const parsed = receiptSchema.safeParse(JSON.parse(found.bytes.toString('utf8')));
    return parsed.success ? parsed.data : undefined;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/** The request that was published, as a record would keep it. */
export function requestOfReceipt({ message, attributes = {}, orderingKey }: Receipt): JobRequest {
  return { message, attributes, ...(orderingKey === undefined ? {} : { orderingKey }) };
}

/** It is not interrupted: a published job shall have its receipt. */
export async function leaveReceipt(parts: Parts, jobId: string, receipt: Receipt): Promise<void> {
  const { uploadPrefix } = parts.settings;
  if (uploadPrefix === undefined) return;
  const signal = AbortSignal.timeout(WRITE_LIMIT_MS);
  const bytes = Buffer.from(JSON.stringify(receipt));
  const options = { contentType: 'application/json', signal };
  await parts.singleTryStore.create(receiptRef(uploadPrefix, jobId), bytes, options).catch(() => undefined);
}
