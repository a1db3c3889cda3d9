import type { PubSubChannel } from './channel.js';

const LIMIT_MS = 20_000;

/**
 * What a jobs subscription lacks that the worker needs, one sentence each.
 * @param attempts the worker's own limit; the service's must be larger
 * @throws grpc-js's ServiceError if the subscription does not exist or may not be read
 */
export async function shortcomings(channel: PubSubChannel, name: string, attempts: number): Promise<string[]> {
  const found = await channel.call('GetSubscription', { subscription: channel.subscription(name) }, LIMIT_MS);
  const limit = found.deadLetterPolicy?.maxDeliveryAttempts ?? 0;
  return [
    ...(limit === 0
      ? ['it has no dead-letter policy: attempts are not counted, and a job that kills its worker comes back for ever']
      : []),
    ...(limit > 0 && limit <= attempts
      ? [`its dead-letter policy allows ${limit} attempts: expected more than IMAGEN_MAX_ATTEMPTS, ${attempts}`]
      : []),
    ...(found.retryPolicy ? [] : ['it has no retry policy: what is given back comes again at once']),
  ];
}
