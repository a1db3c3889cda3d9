/** Calls of Pub/Sub's administration, with a time limit, whose expected refusals are values. */
import { status } from '@grpc/grpc-js';
import { StepFailed } from '../setup-step.js';
import type { PubSubChannel } from './channel.js';
import { codeOf, untilAnswered } from './retrying.js';
import type { Methods } from './wire.js';

/** Time limit for one call with its repetitions, in milliseconds. */
const CALL_LIMIT_MS = 20_000;

/**
 * Repeats the call while its failures are of the kind that passes.
 * @throws grpc-js's ServiceError
 */
export function administer<M extends keyof Methods>(
  channel: PubSubChannel,
  name: M,
  request: Methods[M]['request'],
): Promise<Methods[M]['response']> {
  return untilAnswered((leftMs) => channel.call(name, request, leftMs), performance.now() + CALL_LIMIT_MS);
}

/** @returns undefined if the resource does not exist. @throws StepFailed */
export async function unlessMissing<T>(what: string, call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (error) {
    if (codeOf(error) === status.NOT_FOUND) return undefined;
    throw new StepFailed(what, error);
  }
}

/** @returns whether it was created; false if it already existed. @throws StepFailed */
export async function unlessThere(name: string, create: () => Promise<unknown>): Promise<boolean> {
  try {
    await create();
    return true;
  } catch (error) {
    if (codeOf(error) === status.ALREADY_EXISTS) return false;
    throw new StepFailed(`create ${name}`, error);
  }
}

/** Prefix of the names of temporary subscriptions. A watch, a wait or the demo's page makes one, and deletes it at its end. */
export const TEMPORARY = 'imagen-watch-';

/** The short names of a topic's subscriptions. @returns undefined if there is no such topic. @throws StepFailed */
export function subscriptionsOf(channel: PubSubChannel, topic: string): Promise<readonly string[] | undefined> {
  return unlessMissing(`list the subscriptions of ${topic}`, async () => {
    const names: string[] = [];
    let pageToken = '';
    do {
      const request = { topic: channel.topic(topic), pageToken };
      const page = await administer(channel, 'ListTopicSubscriptions', request);
      // `projects/p/subscriptions/s` → `s`
      names.push(...page.subscriptions.map((name) => name.slice(name.lastIndexOf('/') + 1)));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    return names;
  });
}
