/** Calls of Pub/Sub's administration, with a time limit, whose expected refusals are values. */
import { StepFailed } from '../plan.js';
import { within } from '../within.js';

/** Time limit for one call, in milliseconds. Without it the client tries for ten minutes. */
export const CALL_LIMIT_MS = 20_000;

/** gRPC status codes. */
const NOT_FOUND = 5;
const ALREADY_EXISTS = 6;

/** @returns undefined if the resource does not exist */
export async function unlessMissing<T>(what: string, call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await within(CALL_LIMIT_MS, what, call);
  } catch (error) {
    if ((error as { code?: unknown }).code === NOT_FOUND) return undefined;
    throw new StepFailed(what, error);
  }
}

/** @returns whether it was created; false if it already existed */
export async function unlessThere(name: string, create: () => Promise<unknown>): Promise<boolean> {
  const what = `create ${name}`;
  try {
    await within(CALL_LIMIT_MS, what, create);
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === ALREADY_EXISTS) return false;
    throw new StepFailed(what, error);
  }
}
