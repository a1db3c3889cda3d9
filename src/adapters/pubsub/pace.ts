import type { Subscription } from '@google-cloud/pubsub';

/** Of the time that a lease lasts, what its extension may be thought to take: so it is extended twice in it, on average. */
const MOST_OF_LEASE = 0.45;

/**
 * Keeps the client from extending leases in a frenzy. It waits for (0.9 x the lease - how long extensions took lately) x a
 * random part between two rounds (`LeaseManager._getNextExtensionTimeoutMs` of 5.3): nothing at all once the service has
 * been silent for as long as a lease lasts. It then adds requests faster than they can be sent, which keeps it slow,
 * until the process has no memory left. There is no option for it, so what it believes is bounded here.
 * @param leaseSeconds for which a lease is extended
 */
export function keepPace(subscription: Subscription, leaseSeconds: number): void {
  const { _subscriber: subscriber } = subscription as unknown as { readonly _subscriber: object };
  const client = Object.getPrototypeOf(subscriber) as object;
  const believedMs = () => Number(Reflect.get(client, 'modAckLatency', subscriber));
  Object.defineProperty(subscriber, 'modAckLatency', {
    get: () => Math.min(believedMs(), MOST_OF_LEASE * leaseSeconds * 1000),
  });
}
