/** What every Publisher does: that of Pub/Sub, and the one in memory. */
import { randomBytes } from 'node:crypto';
import { expect, it, vi } from 'vitest';
import { NotPublishable, type Publisher } from '../../../src/domain/ports.js';

export interface PublisherUnderTest {
  readonly publisher: Publisher;
  /** What has arrived so far. */
  readonly arrived: () => readonly Arrived[];
}

export interface Arrived {
  readonly data: Buffer;
  readonly attributes: Readonly<Record<string, string>>;
  readonly orderingKey?: string | undefined;
}

const ARRIVES_MS = 20_000;

/** @param alone runs a test with its own publisher and an empty topic, and closes both at its end */
export function publisherContract(
  alone: (test: (under: PublisherUnderTest) => Promise<void>) => () => Promise<void>,
): void {
  const untilArrived = (arrived: PublisherUnderTest['arrived'], count: number) =>
    vi.waitFor(() => expect(arrived()).toHaveLength(count), { timeout: ARRIVES_MS });

  it(
    'brings bytes, attributes and the ordering key as they were given',
    alone(async ({ publisher, arrived }) => {
      const data = randomBytes(1_000);
      await publisher.publish(data, { model: 'upscale', 'x-y': 'ü' }, 'key');
      await publisher.publish(Buffer.alloc(0), { alone: '' });
      await untilArrived(arrived, 2);
      const withKey = arrived().find(({ orderingKey }) => orderingKey === 'key');
      expect(withKey?.data).toEqual(data);
      expect(withKey?.attributes).toEqual({ model: 'upscale', 'x-y': 'ü' });
      const other = arrived().find((message) => message !== withKey);
      expect([other?.data.length, other?.attributes, other?.orderingKey]).toEqual([0, { alone: '' }, undefined]);
    }),
  );

  it(
    'keeps the order of messages with the same key',
    alone(async ({ publisher, arrived }) => {
      const texts = Array.from({ length: 20 }, (_, i) => `${i}`);
      await Promise.all(texts.map((text) => publisher.publish(Buffer.from(text), {}, 'key')));
      await untilArrived(arrived, texts.length);
      expect(arrived().map(({ data }) => data.toString())).toEqual(texts);
    }),
  );

  it(
    'says of a message that is invalid that it cannot be published, and publishes the others',
    alone(async ({ publisher, arrived }) => {
      const [empty, good] = await Promise.allSettled([
        publisher.publish(Buffer.alloc(0), {}),
        publisher.publish(Buffer.from('good'), {}),
      ]);
      expect([empty.status, good.status]).toEqual(['rejected', 'fulfilled']);
      expect((empty as PromiseRejectedResult).reason).toBeInstanceOf(NotPublishable);
      await untilArrived(arrived, 1);
      expect(arrived()[0]?.data.toString()).toBe('good');
    }),
  );
}
