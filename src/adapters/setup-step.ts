/** What `imagen setup` plans for one thing that the worker depends on. It does exactly what it shows. */

import { NoAnswer } from './within.js';

export interface SetupStep {
  readonly kind: 'topic' | 'subscription' | 'bucket' | 'notification';
  readonly name: string;
  readonly todo: 'create' | 'update' | 'nothing';
  /** Short texts such as `ack deadline: 60 s → 10 s`; for a new thing, its settings. */
  readonly details: readonly string[];
  /** Differences that cannot be fixed in place, one sentence each. Setup applies nothing while there are any. */
  readonly obstacles: readonly string[];
  /** Warnings for the person who runs setup, one sentence each. */
  readonly warnings: readonly string[];
  /** Does the planned work; nothing if there is none. */
  apply(): Promise<void>;
}

/** The service refused or did not answer. Shown without a stack trace. */
export class StepFailed extends Error {
  override readonly name = 'StepFailed';
  constructor(what: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(cause instanceof NoAnswer ? reason : `${what}: ${reason}`, { cause });
  }
}

/**
 * One property of a thing. The texts are compared, so every difference has a text, and no text shows a false difference.
 */
export interface Property<Found, Patch> {
  readonly name: string;
  readonly wanted: string;
  readonly found: (found: Found) => string;
  /** The patch that sets the wanted value. */
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

/** A duration in days if it is a whole number of days, otherwise in seconds. */
export function durationText(seconds: number): string {
  const days = seconds / 86_400;
  if (!Number.isInteger(days) || days === 0) return `${seconds} s`;
  return days === 1 ? '1 day' : `${days} days`;
}
