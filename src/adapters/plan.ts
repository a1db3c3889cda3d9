/** What `imagen setup` knows about one thing that the worker depends on: what is shown of it is what is done. */

import { NoAnswer } from './within.js';

export interface Step {
  readonly kind: 'topic' | 'subscription' | 'bucket';
  readonly name: string;
  readonly todo: 'create' | 'update' | 'nothing';
  /** In words, such as `ack deadline: 60 s → 10 s`; of something new, what it gets. */
  readonly details: readonly string[];
  /** What cannot be mended in place, each in a sentence. Nothing at all is applied while there is one. */
  readonly obstacles: readonly string[];
  /** What whoever runs it should know, each in a sentence. */
  readonly warnings: readonly string[];
  /** Does what is to do; nothing when that is nothing. */
  apply(): Promise<void>;
}

/** The service refused, or did not answer; shown without a stack. */
export class StepFailed extends Error {
  override readonly name = 'StepFailed';
  constructor(what: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(cause instanceof NoAnswer ? reason : `${what}: ${reason}`, { cause });
  }
}

/** One property of a thing. Compared as words: so no difference is without them, and none is told that is not there. */
export interface Property<Found, Patch> {
  readonly name: string;
  readonly wanted: string;
  readonly found: (found: Found) => string;
  /** What brings it to what is wanted. */
  readonly patch: Patch;
}

export function differing<Found, Patch>(
  properties: readonly Property<Found, Patch>[],
  found: Found,
): Property<Found, Patch>[] {
  return properties.filter((property) => property.found(found) !== property.wanted);
}

export function difference<Found>({ name, wanted, found }: Property<Found, unknown>, of: Found): string {
  return `${name}: ${found(of)} → ${wanted}`;
}

/** A span of time in the largest unit that it is a whole number of. */
export function span(seconds: number): string {
  const days = seconds / 86_400;
  if (!Number.isInteger(days) || days === 0) return `${seconds} s`;
  return days === 1 ? '1 day' : `${days} days`;
}
