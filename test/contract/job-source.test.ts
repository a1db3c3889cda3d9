import { randomBytes } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { createPubSub } from '../../scripts/lab/google-clients.js';
import { ensureJobsSubscription, ensureTopic } from '../../src/adapters/pubsub/admin.js';
import { PubSubChannel } from '../../src/adapters/pubsub/channel.js';
import { shortcomings } from '../../src/adapters/pubsub/shortcomings.js';
import { createPublisher } from '../../src/adapters/pubsub/publisher.js';
import { createJobSource } from '../../src/adapters/pubsub/source.js';
import type { Delivery, JobSource, Publisher } from '../../src/domain/ports.js';
import { type Arrived, publisherContract } from '../support/contracts/publisher.js';
import { PUBSUBS } from '../support/pubsubs.js';
import { until } from '../support/scene.js';

// Most of them wait.
vi.setConfig({ maxConcurrency: 20 });

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The ack deadline of the subscriptions is 10 s: a message whose lease has ended comes again before this, in milliseconds. */
const LONGER_THAN_LEASE_MS = 13_000;
/** A message that is not to come again has had its time, in milliseconds. */
const QUIET_MS = 500;

interface Fixture {
  readonly channel: PubSubChannel;
  readonly topic: string;
  readonly subscription: string;
  readonly source: JobSource;
  readonly publisher: Publisher;
  readonly leases: { extended: number; lost: number };
  readonly createSource: () => JobSource;
}

/** A topic and a subscription for one test, with the policies that `imagen setup` gives. */
const aloneOn = (emulator: string) => (test: (fixture: Fixture) => Promise<void>) => async () => {
  const id = randomBytes(4).toString('hex');
  const [topic, subscription, deadLetterTopic] = [`jobs-${id}`, `jobs-worker-${id}`, `dead-letters-${id}`];
  const channel = new PubSubChannel({ projectId: 'p', emulator });
  for (const name of [topic, deadLetterTopic]) await ensureTopic(channel, name);
  await ensureJobsSubscription(channel, subscription, { topic, deadLetterTopic, maxDeliveryAttempts: 10 });
  const leases = { extended: 0, lost: 0 };
  const createSource = () =>
    createJobSource(channel, subscription, {
      maxMessages: 10,
      maxExtensionSeconds: 60,
      onError: () => undefined,
      onLease: { extended: () => leases.extended++, lost: () => leases.lost++ },
    });
  const source = createSource();
  const publisher = createPublisher(channel, topic);
  try {
    await test({ channel, topic, subscription, source, publisher, leases, createSource });
  } finally {
    await source.stop(2_000);
    channel.close();
  }
};

describe.concurrent.each(PUBSUBS)('JobSource and Publisher on $name', ({ host }) => {
  const alone = aloneOn(host);

  publisherContract((test) =>
    alone(async ({ source, publisher }) => {
      const arrived: Arrived[] = [];
      source.start((delivery) => {
        arrived.push(delivery);
        return Promise.resolve('ack');
      });
      await test({ publisher, arrived: () => arrived });
    }),
  );

  it(
    'says what a subscription lacks',
    alone(async ({ channel, topic, subscription: name }) => {
      expect(await shortcomings(channel, name, 5)).toEqual([]);
      expect(await shortcomings(channel, name, 10)).toEqual([
        'its dead-letter policy allows 10 attempts: expected more than IMAGEN_MAX_ATTEMPTS, 10',
      ]);
      const bare = `${name}-bare`;
      const pubsub = createPubSub({ projectId: 'p', emulator: host });
      await pubsub.topic(topic).createSubscription(bare);
      await pubsub.close();
      expect(await shortcomings(channel, bare, 5)).toEqual([
        expect.stringContaining('no dead-letter policy'),
        expect.stringContaining('no retry policy'),
      ]);
      await expect(shortcomings(channel, `${name}-missing`, 5)).rejects.toMatchObject({ code: 5 });
    }),
  );

  it(
    'delivers what was published, counts attempts, and does not deliver again what was acked',
    alone(async ({ source, publisher }) => {
      const seen: Delivery[] = [];
      source.start((delivery) => {
        seen.push(delivery);
        return Promise.resolve('ack');
      });
      await publisher.publish(Buffer.from('hello'), { model: 'upscale' });
      await until(() => seen.length > 0, 10_000);
      expect(seen[0]).toMatchObject({ data: Buffer.from('hello'), attributes: { model: 'upscale' }, attempt: 1 });
      expect(Math.abs(Date.now() - (seen[0]?.publishedAt.getTime() ?? 0))).toBeLessThan(5_000);
      await pause(QUIET_MS);
      expect(seen).toHaveLength(1);
    }),
  );

  it(
    'gives back what a handler nacks or throws at, with a higher attempt',
    alone(async ({ source, publisher }) => {
      const attempts: number[] = [];
      source.start(({ attempt }) => {
        attempts.push(attempt);
        if (attempts.length === 1) return Promise.resolve('nack');
        if (attempts.length === 2) return Promise.reject(new Error('unexpected'));
        return Promise.resolve('ack');
      });
      await publisher.publish(Buffer.from('x'), {});
      await until(() => attempts.length >= 3, 30_000);
      expect(attempts).toEqual([1, 2, 3]);
    }),
  );

  it(
    'extends the lease of a handler that takes longer than the ack deadline',
    alone(async ({ source, publisher, leases }) => {
      let deliveries = 0;
      source.start(async () => {
        deliveries++;
        await pause(LONGER_THAN_LEASE_MS);
        return 'ack';
      });
      await publisher.publish(Buffer.from('x'), {});
      await until(() => deliveries > 0, 10_000);
      await pause(LONGER_THAN_LEASE_MS + QUIET_MS);
      expect(deliveries).toBe(1);
      expect(leases.extended).toBeGreaterThan(0);
      expect(leases.lost).toBe(0);
    }),
  );

  it(
    'stops when its handlers have answered, and loses no ack of theirs',
    alone(async ({ source, publisher, createSource }) => {
      let begun = 0;
      source.start(async () => {
        begun++;
        await pause(1_500);
        return 'ack';
      });
      for (let i = 0; i < 3; i++) await publisher.publish(Buffer.from('x'), {});
      await until(() => begun === 3, 10_000);
      const startedAt = Date.now();
      await source.stop(20_000);
      expect(Date.now() - startedAt).toBeLessThan(4_000);

      const second = createSource();
      let again = 0;
      second.start(() => {
        again++;
        return Promise.resolve('ack');
      });
      await pause(LONGER_THAN_LEASE_MS);
      await second.stop(2_000);
      expect(again).toBe(0);
    }),
  );

  it(
    'never takes longer than its cap, and aborts who does',
    alone(async ({ source, publisher }) => {
      let reason: unknown;
      let begun = false;
      source.start(
        (_delivery, signal) =>
          new Promise((_, reject) => {
            begun = true;
            signal.addEventListener('abort', () => {
              reason = signal.reason;
              reject(signal.reason as Error);
            });
          }),
      );
      await publisher.publish(Buffer.from('x'), {});
      await until(() => begun, 10_000);
      const startedAt = Date.now();
      await source.stop(3_000);
      expect(Date.now() - startedAt).toBeLessThan(4_000);
      expect((reason as Error).name).toBe('GivenBack');
    }),
  );

  it(
    'reports that it is closed when its subscription is gone',
    alone(async ({ channel, subscription, source, publisher }) => {
      let pulls = false;
      source.start(() => {
        pulls = true;
        return Promise.resolve('ack');
      });
      await publisher.publish(Buffer.from('x'), {});
      await until(() => pulls, 10_000);
      await channel.call('DeleteSubscription', { subscription: channel.subscription(subscription) }, 5_000);
      const reason = await Promise.race([source.closed, pause(20_000)]);
      expect(reason).toBeInstanceOf(Error);
    }),
  );

  it(
    'rejects a publish that nobody accepts',
    alone(async ({ channel }) => {
      await expect(createPublisher(channel, 'no-such-topic').publish(Buffer.from('x'), {})).rejects.toThrow();
    }),
  );
});
