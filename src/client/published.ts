/** Compares a request with the job that was published for it before. */
import { canonicalJson } from '../domain/fingerprint.js';
import { jobAttributes, type JobMessage } from '../domain/job.js';
import type { JobRequest } from '../records/request.js';

/**
 * Fields that do not count for the id of a job or for its fingerprint. If they differ in a request that is submitted
 * again, those of the job that was published hold.
 */
export type IgnoredField =
  | 'group'
  | 'tenant'
  | 'metadata'
  | 'priority'
  | 'deadline'
  | 'timeoutSeconds'
  | 'experimentKey'
  | 'attributes'
  | 'orderingKey';

/** @returns the fields in which the request differs from what was published, also where one of them has no such field */
export function ignoredOf(asked: JobRequest, published: JobRequest): IgnoredField[] {
  const [one, other] = [fieldsOf(asked), fieldsOf(published)];
  return (Object.keys(one) as IgnoredField[]).filter((name) => canonicalJson(one[name]) !== canonicalJson(other[name]));
}

function fieldsOf({ message, attributes, orderingKey }: JobRequest): Record<IgnoredField, unknown> {
  const { group, tenant, metadata, priority = 'batch', deadline, timeoutSeconds, experimentKey } = message;
  return {
    ...{ group: group ?? null, tenant: tenant ?? null, metadata: metadata ?? null, priority },
    ...{ deadline: deadline === undefined ? null : Date.parse(deadline), timeoutSeconds: timeoutSeconds ?? null },
    ...{ experimentKey: experimentKey ?? null, attributes: ownAttributes(attributes, message) },
    // An empty ordering key is none: Pub/Sub delivers one for every message without a key.
    orderingKey: orderingKey ?? '',
  };
}

/** Those of the publisher: without the ones that every job has, and without those that Pub/Sub and tracing add. */
function ownAttributes(attributes: JobRequest['attributes'], message: JobMessage): Record<string, string> {
  const added = jobAttributes(message);
  return Object.fromEntries(
    Object.entries(withoutTrace(attributes)).filter(([name]) => !(name in added) && !/^(goog|CloudPubSub)/.test(name)),
  );
}

/** A job that is published again begins a trace of its own. */
export function withoutTrace(attributes: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(attributes).filter(([name]) => !/^(googclient_)?trace(parent|state)$/i.test(name)),
  );
}
