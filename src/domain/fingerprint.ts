import { createHash } from 'node:crypto';
import type { Job } from './job.js';

/**
 * JSON with sorted keys and no spaces, so that equal values give equal bytes in any order of keys. It follows the ordering
 * rule of RFC 8785 for the plain values that a job can hold.
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

export function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** Number of hex digits of a hash that a double holds exactly. */
const HEX_DIGITS = 13;

/** A point from 0 to 1, without 1, that a text always has. Points of many texts are evenly spread. */
export function pointOf(text: string): number {
  return parseInt(sha256(text).slice(0, HEX_DIGITS), 16) / 16 ** HEX_DIGITS;
}

/**
 * Hash of the requested work. Two messages with the same fingerprint ask for the same job. Fields that only say when to
 * run it or how to report it do not count. The generation counts as it was sent; without one, the job asks for "the
 * current object".
 */
export function fingerprint(job: Job): string {
  const { operations, input, output } = job;
  return sha256(canonicalJson({ operations, input: { uri: input.uri, generation: input.generation }, output }));
}

/** The event id of a job's outcome. Every publish of the same outcome has the same id. */
export function eventIdOfJob(jobId: string, jobFingerprint: string): string {
  return sha256(`job\n${jobId}\n${jobFingerprint}`).slice(0, 32);
}

/** The event id for an unreadable message. Only its Pub/Sub id identifies it. */
export function eventIdOfMessage(messageId: string): string {
  return sha256(`message\n${messageId}`).slice(0, 32);
}
