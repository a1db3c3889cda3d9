import type { PubSubChannel } from './channel.js';
import { strayed } from './feeding-publisher.js';

const LIMIT_MS = 20_000;

/**
 * What a jobs subscription lacks that the worker needs, one sentence each.
 * @param attempts the worker's own limit; the service's must be larger
 * @param topic to which jobs are put back, if that is to be compared
 * @throws grpc-js's ServiceError if the subscription does not exist or may not be read
 */
export async function shortcomings(
  channel: PubSubChannel,
  name: string,
  attempts: number,
  topic?: string,
): Promise<string[]> {
  const found = await channel.call('GetSubscription', { subscription: channel.subscription(name) }, LIMIT_MS);
  const limit = found.deadLetterPolicy?.maxDeliveryAttempts ?? 0;
  return [
    ...(topic === undefined || found.topic === channel.topic(topic) ? [] : [strayed(name, found.topic, topic)]),
    ...(limit === 0
      ? ['it has no dead-letter policy: attempts are not counted, and a job that kills its worker comes back for ever']
      : []),
    ...(limit > 0 && limit <= attempts
      ? [`its dead-letter policy allows ${limit} attempts: expected more than IMAGEN_MAX_ATTEMPTS, ${attempts}`]
      : []),
    ...(found.retryPolicy ? [] : ['it has no retry policy: messages that are given back come again at once']),
  ];
}
