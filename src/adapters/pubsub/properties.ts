/** The properties of a subscription that `imagen setup` compares and sets. */
import { type Property, durationText } from '../setup-step.js';
import type { Subscription, SubscriptionSettings } from './wire.js';

export type SubscriptionProperty = Property<Subscription, Partial<SubscriptionSettings>>;

/** How long a job may wait in its subscription. Records must outlive it: see `leastStateDays` in cli/setup/wanted.ts. */
export const JOBS_RETENTION_SECONDS = 7 * 86_400;
/** Pub/Sub's expiration if there is no policy. */
const DEFAULT_EXPIRATION_SECONDS = 31 * 86_400;
/**
 * Applies to messages that are given back and, on Google's service, also to expired leases. The jobs of a killed worker wait
 * for it.
 */
const RETRY_POLICY = { minimumBackoff: { seconds: 2 }, maximumBackoff: { seconds: 600 } };

export const NEVER_EXPIRES: SubscriptionProperty = {
  name: 'expires',
  wanted: 'never',
  found: ({ expirationPolicy: policy }) => {
    if (policy && !policy.ttl) return 'never';
    return `after ${durationText(policy?.ttl?.seconds ?? DEFAULT_EXPIRATION_SECONDS)} without use`;
  },
  patch: { expirationPolicy: { ttl: null } },
};

export const RETRIES: SubscriptionProperty = {
  name: 'retry after',
  wanted: backoff(RETRY_POLICY),
  found: ({ retryPolicy }) => backoff(retryPolicy),
  patch: { retryPolicy: RETRY_POLICY },
};

export function ackDeadline(seconds: number): SubscriptionProperty {
  return {
    name: 'ack deadline',
    wanted: durationText(seconds),
    found: ({ ackDeadlineSeconds }) => durationText(ackDeadlineSeconds),
    patch: { ackDeadlineSeconds: seconds },
  };
}

export function retention(seconds: number): SubscriptionProperty {
  return {
    name: 'keeps messages',
    wanted: durationText(seconds),
    found: ({ messageRetentionDuration: found }) => durationText(found?.seconds ?? 0),
    patch: { messageRetentionDuration: { seconds } },
  };
}

/** @param deadLetterTopic its full name */
export function deadLetters(deadLetterTopic: string, maxDeliveryAttempts: number): SubscriptionProperty {
  const deadLetterPolicy = { deadLetterTopic, maxDeliveryAttempts };
  return {
    name: 'dead letters',
    wanted: destination(deadLetterPolicy),
    found: (found) => destination(found.deadLetterPolicy),
    patch: { deadLetterPolicy },
  };
}

export function merged(properties: readonly SubscriptionProperty[]): Partial<SubscriptionSettings> {
  return Object.assign({}, ...properties.map(({ patch }) => patch)) as Partial<SubscriptionSettings>;
}

function backoff(policy: Subscription['retryPolicy']): string {
  if (!policy) return 'at once';
  return `${durationText(policy.minimumBackoff?.seconds ?? 0)} to ${durationText(policy.maximumBackoff?.seconds ?? 0)}`;
}

function destination(policy: Subscription['deadLetterPolicy']): string {
  if (!policy?.deadLetterTopic) return 'nowhere';
  return `to ${policy.deadLetterTopic} after ${policy.maxDeliveryAttempts} attempts`;
}
