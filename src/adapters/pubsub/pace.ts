import type { Subscription } from '@google-cloud/pubsub';

/** The version of the client whose private field this rests on. */
const KNOWN = '5.3.1';

/** Of the time that a lease lasts, what its extension may be thought to take: so it is extended twice in it, on average. */
const MOST_OF_LEASE = 0.45;

/**
 * Keeps the client from extending leases in a frenzy. It waits for (0.9 x the lease - how long extensions took lately) x a
 * random part between two rounds (`LeaseManager._getNextExtensionTimeoutMs` of 5.3): nothing at all once the service has
 * been silent for as long as a lease lasts. It then adds requests faster than they can be sent, which keeps it slow,
 * until the process has no memory left. There is no option for it, so what it believes is bounded here.
 * @param leaseSeconds for which a lease is extended
 * @throws Error when this version of the client has no such field: it would be bounded no longer, and nobody would know
 */
export function keepPace(subscription: Subscription, leaseSeconds: number): void {
  const subscriber = Reflect.get(subscription, '_subscriber') as unknown;
  const field = subscriber instanceof Object ? inherited(subscriber, 'modAckLatency') : undefined;
  const believedMs = () => Number(field?.get?.call(subscriber));
  if (!(subscriber instanceof Object) || !Number.isFinite(believedMs())) {
    throw new Error(
      `@google-cloud/pubsub: expected a subscription whose \`_subscriber\` has a getter \`modAckLatency\` in milliseconds, as in ${KNOWN}, given ${field?.get ? String(believedMs()) : 'none'}: leases cannot be extended at a bounded pace. Install ${KNOWN}, or see how its successor paces extensions`,
    );
  }
  Object.defineProperty(subscriber, 'modAckLatency', {
    get: () => Math.min(believedMs(), MOST_OF_LEASE * leaseSeconds * 1000),
  });
}

function inherited(of: object, name: string): PropertyDescriptor | undefined {
  for (let one = of as object | null; one; one = Object.getPrototypeOf(one) as object | null) {
    const found = Object.getOwnPropertyDescriptor(one, name);
    if (found) return found;
  }
  return undefined;
}
