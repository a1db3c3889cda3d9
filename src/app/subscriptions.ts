/** The subscriptions from which a worker pulls jobs. */
import { shortcomings } from '../adapters/pubsub/shortcomings.js';
import { createJobSource, type SourceOptions } from '../adapters/pubsub/source.js';
import type { WeightedSubscription, WorkerConfig } from '../config/index.js';
import type { JobSource } from '../domain/ports.js';
import type { Logger } from '../telemetry/logger.js';
import type { Connections } from './connections.js';
import type { Service } from './lifecycle.js';

/** Longest time for which a job may hold its message, in seconds. After that the lease expires and another worker tries. */
const MAX_LEASE_SECONDS = 3_600;

export interface Subscriptions extends Service {
  /** Resolves with the reason when one of them can no longer deliver. */
  readonly closed: Promise<Error>;
}

export interface SubscriptionsOptions {
  /** Messages to hold of a single subscription; several share them (`fairPart`). */
  readonly mostMessages: number;
  /** How long jobs in work may take to end when the worker stops, in milliseconds. */
  readonly drainMs: number;
  readonly onLease: SourceOptions['onLease'] & object;
}

export function createSubscriptions(
  config: WorkerConfig,
  { pubsub }: Connections,
  handle: Parameters<JobSource['start']>[0],
  { mostMessages, drainMs, onLease }: SubscriptionsOptions,
  log: Logger,
): Subscriptions {
  const sources = config.jobsSubscriptions.map((subscription) =>
    createJobSource(pubsub, subscription.name, {
      maxMessages: fairPart(subscription, config.jobsSubscriptions, mostMessages),
      maxExtensionSeconds: MAX_LEASE_SECONDS,
      onError: (error) => log.error({ error, subscription: subscription.name }, 'unexpected error at the subscription'),
      onLease,
    }),
  );

  /** Runs beside the work, since a worker without the right to read its subscriptions can still work. */
  async function warnOfShortcomings(): Promise<void> {
    for (const { name } of config.jobsSubscriptions) {
      try {
        for (const lack of await shortcomings(pubsub, name, config.maxAttempts, config.jobsTopic)) {
          log.warn({ subscription: name }, `${lack}; "imagen doctor" says how to mend that`);
        }
      } catch (error) {
        log.info({ subscription: name, error }, 'cannot see the policies of the subscription');
      }
    }
  }

  return {
    name: 'the subscriptions',
    closed: Promise.race(sources.map((source) => source.closed)),
    start() {
      void warnOfShortcomings();
      for (const source of sources) source.start(handle);
    },
    async stop() {
      await Promise.all(sources.map((source) => source.stop(drainMs)));
    },
  };
}

/**
 * How many messages of a subscription to hold: its share by weight. If none has a weight, each may have half of all, or all
 * if it is the only one: a tenant's subscription is often empty, and the others must keep the worker busy meanwhile. Tenants
 * share the places, so what is held beyond these waits.
 */
export function fairPart(
  one: WeightedSubscription,
  all: readonly WeightedSubscription[],
  mostMessages: number,
): number {
  const isWeighted = all.some(({ weight }) => weight !== undefined);
  if (!isWeighted) return Math.ceil(mostMessages / Math.min(2, all.length));
  const total = all.reduce((sum, { weight = 1 }) => sum + weight, 0);
  return Math.max(1, Math.round((mostMessages * (one.weight ?? 1)) / total));
}
