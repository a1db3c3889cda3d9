import { Duration } from '@google-cloud/pubsub';
import { LeaseManager } from '@google-cloud/pubsub/build/src/lease-manager.js';
import type { Subscriber } from '@google-cloud/pubsub/build/src/subscriber.js';
import { describe, expect, it } from 'vitest';
import { createPubSubClient } from '../../../src/adapters/pubsub/client.js';
import { keepPace } from '../../../src/adapters/pubsub/pace.js';

const LEASE_SECONDS = 10;

/** How long the client waits before it extends its leases again, in milliseconds, when extensions have taken so long. */
function pauses(tookSeconds: number, bounded: boolean): number[] {
  const pubsub = createPubSubClient({ projectId: 'p', emulator: '127.0.0.1:9' });
  const subscription = pubsub.subscription('s', {
    minAckDeadline: Duration.from({ seconds: LEASE_SECONDS }),
    maxAckDeadline: Duration.from({ seconds: LEASE_SECONDS }),
  });
  if (bounded) keepPace(subscription, LEASE_SECONDS);
  const { _subscriber: subscriber } = subscription as unknown as { readonly _subscriber: Subscriber };
  const { _latencies: latencies } = subscriber as unknown as { readonly _latencies: { add(seconds: number): void } };
  latencies.add(tookSeconds);
  const manager = new LeaseManager(subscriber) as unknown as { _getNextExtensionTimeoutMs(): number };
  return Array.from({ length: 1_000 }, () => manager._getNextExtensionTimeoutMs());
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

it('lets the client pause between two rounds of extensions, however slow the last one was', () => {
  for (const took of [9, 60, 3_600]) {
    expect(Math.max(...pauses(took, false))).toBeLessThanOrEqual(0); // what it is there for
    expect(Math.min(...pauses(took, true))).toBeGreaterThanOrEqual(0);
    expect(mean(pauses(took, true))).toBeGreaterThan(2_000);
  }
});

describe('a client without the field that the bound rests on', () => {
  const error = /_subscriber.*modAckLatency.*5\.3\.1/;
  it.each([
    ['no subscriber', {}, 'none'],
    ['no getter', { _subscriber: {} }, 'none'],
    ['a method in its place', { _subscriber: { modAckLatency: () => 5 } }, 'none'],
    [
      'something that is no number',
      {
        _subscriber: {
          get modAckLatency() {
            return {};
          },
        },
      },
      'NaN',
    ],
  ])('is refused when the worker starts: %s', (_, subscription, given) => {
    const keep = () => keepPace(subscription as never, LEASE_SECONDS);
    expect(keep).toThrow(error);
    expect(keep).toThrow(`given ${given}`);
  });
});

it('leaves the client its own pace where extensions are quick', () => {
  expect(Math.abs(mean(pauses(1, true)) - mean(pauses(1, false)))).toBeLessThan(500);
});
