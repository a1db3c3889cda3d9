import { JobError, type Need } from '../domain/errors.js';
import { fingerprint as fingerprintOf } from '../domain/fingerprint.js';
import { type Job, parseJob, salvage, type Salvaged } from '../domain/job.js';
import type { Delivery } from '../domain/ports.js';
import type { Precautions } from './precautions.js';
import { completionOfUnreadable } from './complete.js';
import { precautionsOf, undeferred } from './defer.js';
import { needsOf, type Prefixes } from '../scheduling/needs.js';
import type { Decision } from './decision.js';

/** A delivery, and its time of arrival. */
export interface Received {
  /** The delivery as Pub/Sub made it: its own attempt, message id and time. */
  readonly raw: Delivery;
  /**
   * The delivery as if the message had never been put back, with the attempts of the original and all copies, as far as
   * known.
   */
  readonly delivery: Delivery;
  /** By `performance.now()`. */
  readonly arrivedAt: number;
}

/** A delivery with a readable job. */
export interface Message extends Received {
  readonly job: Job;
  readonly fingerprint: string;
  /** Models and buckets that the job needs. */
  readonly needs: readonly Need[];
  readonly precautions: Precautions;
}

/**
 * Of the deliveries of this copy, only the first and the present one count as attempts for now. For those in between it is
 * not yet known whether their work had started.
 */
export function receive(raw: Delivery): Received {
  const attempt = Math.min(2, raw.attempt);
  return { raw, delivery: undeferred({ ...raw, attempt }), arrivedAt: performance.now() };
}

/** @returns the message, or the decision for an unreadable one */
export function parse(received: Received, prefixes: Prefixes): Message | Decision {
  try {
    const job = parseJob(received.raw.data);
    return {
      ...received,
      job,
      fingerprint: fingerprintOf(job),
      needs: needsOf(job, prefixes),
      precautions: precautionsOf(received.raw),
    };
  } catch (thrown) {
    return unreadable(received, salvage(received.delivery.data), JobError.from(thrown, 'parse'));
  }
}

/** The decision for a message that is no job. */
export function unreadable({ delivery }: Received, salvaged: Salvaged, error: JobError): Decision {
  const completion = completionOfUnreadable(delivery, salvaged, error);
  return { completion, model: undefined, deadLetter: true, recorded: false, replay: false };
}

/**
 * Whether Pub/Sub has used up nearly all deliveries of the message. If such a message must wait for something, it is put
 * back instead.
 */
export function isSpent(raw: Delivery, maxAttempts: number): boolean {
  return raw.attempt > maxAttempts;
}
