/** Which failures of Pub/Sub pass, and how long to wait before the next attempt. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ServiceError, status } from '@grpc/grpc-js';

/** As Google's clients do it: publisher_client_config.json and pull-retry.ts of @google-cloud/pubsub 5.3. */
const PASSING: ReadonlySet<unknown> = new Set([
  status.OK, // a stream that the server ends
  status.CANCELLED,
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.RESOURCE_EXHAUSTED,
  status.ABORTED,
  status.INTERNAL,
  status.UNAVAILABLE,
]);

const FIRST_PAUSE_MS = 100;
/** Calls must notice the end of an outage soon. */
const LONGEST_PAUSE_MS = 2_000;

export function codeOf(error: unknown): unknown {
  return (error as Partial<ServiceError>).code;
}

export function passes(error: unknown): boolean {
  return PASSING.has(codeOf(error));
}

/**
 * The pause after several failures in a row: twice as long each time, with a random half, so that many workers do not come
 * back at once.
 * @returns milliseconds
 */
export function pauseMs(failures: number): number {
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
}

/**
 * Repeats a call while its failures are of the kind that passes.
 * @param call gets the time that is left, in milliseconds
 * @param endsAt by `performance.now()`
 * @throws the last error of the call
 */
export async function untilAnswered<T>(call: (leftMs: number) => Promise<T>, endsAt: number): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await call(Math.max(1, endsAt - performance.now()));
    } catch (error) {
      const pause = pauseMs(failures);
      if (!passes(error) || performance.now() + pause >= endsAt) throw error;
      await sleep(pause);
    }
  }
}
