import { createHash } from 'node:crypto';
import type { Job } from './job.js';

/**
 * JSON with sorted keys and no spaces, so that equal values give equal bytes whatever order they were written in
 * (the ordering rule of RFC 8785 for the plain values that a job can hold).
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value)
      .filter(([, field]) => field !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`);
    return `{${entries.join(',')}}`;
  }
  return JSON.stringify(value);
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/**
 * What makes two messages the same job: the work asked for, and nothing that only says when or how to report it.
 * The generation counts as it was sent: without one, "the current object" is what was asked for.
 */
export function fingerprint(job: Job): string {
  const { operations, input, output } = job;
  return sha256(canonicalJson({ operations, input: { uri: input.uri, generation: input.generation }, output }));
}

/** One id for one outcome: every publish of the same outcome carries the same id. */
export function eventIdOfJob(jobId: string, jobFingerprint: string): string {
  return sha256(`job\n${jobId}\n${jobFingerprint}`).slice(0, 32);
}

/** For a message that cannot be read: its Pub/Sub id is all that identifies it. */
export function eventIdOfMessage(messageId: string): string {
  return sha256(`message\n${messageId}`).slice(0, 32);
}
