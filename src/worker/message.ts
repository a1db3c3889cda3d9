import { JobError, type Need } from '../domain/errors.js';
import { fingerprint as fingerprintOf } from '../domain/fingerprint.js';
import { type Job, parseJob, salvageJobId } from '../domain/job.js';
import type { Delivery } from '../domain/ports.js';
import { completionOfUnreadable } from './complete.js';
import { undeferred } from './defer.js';
import { needsOf, type Places } from '../scheduling/needs.js';
import type { Decision } from './decision.js';

/** A delivery, and when it came. */
export interface Received {
  /** As it came. */
  readonly given: Delivery;
  /** As one of a message that has never been put back: with the attempts of all its lives, as far as they are known. */
  readonly delivery: Delivery;
  /** By `performance.now()`. */
  readonly arrivedAt: number;
}

/** A delivery whose job could be read. */
export interface Message extends Received {
  readonly job: Job;
  readonly fingerprint: string;
  /** Models and buckets that the job cannot do without. */
  readonly needs: readonly Need[];
}

/**
 * Of the deliveries of this life, only the first and the present one count as attempts yet: of those in between it is not
 * known whether work had begun.
 */
export function receive(given: Delivery): Received {
  const attempt = Math.min(2, given.attempt);
  return { given, delivery: undeferred({ ...given, attempt }), arrivedAt: performance.now() };
}

/** @returns the message, or how one ends that cannot be read */
export function parse(received: Received, places: Places): Message | Decision {
  try {
    const job = parseJob(received.given.data);
    return { ...received, job, fingerprint: fingerprintOf(job), needs: needsOf(job, places) };
  } catch (thrown) {
    const { delivery } = received;
    const completion = completionOfUnreadable(delivery, salvageJobId(delivery.data), JobError.from(thrown, 'parse'));
    return { completion, model: undefined, deadLetter: true, replay: false };
  }
}

/** Pub/Sub has delivered the message nearly as often as it will: whoever must wait for something puts it back instead. */
export function isSpent(given: Delivery, maxAttempts: number): boolean {
  return given.attempt > maxAttempts;
}
