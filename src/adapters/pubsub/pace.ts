import type { Subscription } from '@google-cloud/pubsub';

/** The version of the client whose private field is used here. */
const KNOWN = '5.3.1';

/**
 * Largest latency that the client may assume for an extension, as a part of the lease. It then extends a lease twice per
 * lease time on average.
 */
const MOST_OF_LEASE = 0.45;

/**
 * Keeps the client from extending leases too often. Between two rounds it waits for (0.9 x the lease - the recent latency of
 * extensions) x a random part (`LeaseManager._getNextExtensionTimeoutMs` of 5.3). Once the service has been silent for as
 * long as a lease, it waits for nothing at all. It then adds requests faster than it can send them, so the latency stays
 * high, until the process runs out of memory. The client has no option for this, so the latency that it assumes is clamped
 * here.
 * @param leaseSeconds length of an extension
 * @throws Error if this version of the client has no such field, since the clamp would then silently have no effect
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
