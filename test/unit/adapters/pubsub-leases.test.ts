import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MOST_ACK_IDS } from '../../../src/adapters/pubsub/ack-ids.js';
import { Leases } from '../../../src/adapters/pubsub/leases.js';

interface Extension {
  readonly ackIds: readonly string[];
  readonly ackDeadlineSeconds: number;
}

/** Leases of ten seconds, and a service that answers at once unless told otherwise. */
function setUp(options: { readonly longestSeconds?: number } = {}) {
  const seen = { extended: 0, lost: 0, failed: 0 };
  const service = { answer: (): Promise<void> => Promise.resolve(), asked: [] as Extension[] };
  const call = async (_method: string, request: unknown) => {
    service.asked.push(request as Extension);
    await service.answer();
    return {};
  };
  const leases = new Leases(
    { call: call },
    {
      ...{ subscription: 'projects/p/subscriptions/s', seconds: 10, longestSeconds: 3_600, ...options },
      extended: () => seen.extended++,
      lost: () => seen.lost++,
      onError: () => seen.failed++,
    },
  );
  leases.start();
  return { leases, seen, service };
}
const seconds = (count: number) => vi.advanceTimersByTimeAsync(count * 1000);

describe('a lease', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('of a short job costs no request', async () => {
    const { leases, service } = setUp();
    leases.begin('a');
    await seconds(1.5);
    leases.end('a');
    await seconds(60);
    expect(service.asked).toEqual([]);
  });

  it('is extended in the first round, then whenever half of it is left, by the same seconds', async () => {
    const { leases, service, seen } = setUp();
    leases.begin('a');
    await seconds(2);
    expect(service.asked).toEqual([
      { subscription: 'projects/p/subscriptions/s', ackIds: ['a'], ackDeadlineSeconds: 10 },
    ]);
    await seconds(58);
    // Every six seconds: in the third round after each extension.
    expect(service.asked).toHaveLength(10);
    leases.end('a');
    expect(seen).toEqual({ extended: 10, lost: 0, failed: 0 });
    await seconds(20);
    expect(service.asked).toHaveLength(10);
  });

  it('is lost once if extensions fail for longer than it lasts, and kept if the service comes back before', async () => {
    const { leases, service, seen } = setUp();
    service.answer = () => Promise.reject(new Error('away'));
    leases.begin('short');
    leases.begin('long');
    await seconds(9);
    expect(seen).toMatchObject({ lost: 0, failed: 4 });
    leases.end('short');
    await seconds(3);
    leases.end('long');
    expect(seen).toMatchObject({ extended: 0, lost: 1 });
    leases.begin('kept');
    await seconds(7);
    service.answer = () => Promise.resolve();
    await seconds(30);
    leases.end('kept');
    expect(seen.lost).toBe(1);
  });

  it('counts from when the extension was sent, however late its answer is', async () => {
    const { leases, service, seen } = setUp();
    leases.begin('a');
    service.answer = () => new Promise((resolve) => setTimeout(resolve, 4_000));
    await seconds(9); // sent after 2 s, answered after 6 s, and so good until 12 s
    service.answer = () => Promise.reject(new Error('away'));
    await seconds(2.5);
    expect(seen).toMatchObject({ extended: 1, lost: 0 });
    leases.end('a');
    expect(seen.lost).toBe(0);
  });

  it('gets one request at a time, so that a slow service is not asked more than it can answer', async () => {
    const { leases, service } = setUp();
    service.answer = () => new Promise((resolve) => setTimeout(resolve, 60_000));
    for (let i = 0; i < 100; i++) leases.begin(`a${i}`);
    await seconds(30);
    expect(service.asked).toHaveLength(1);
  });

  it('is extended no longer than is permitted', async () => {
    const { leases, service, seen } = setUp({ longestSeconds: 20 });
    leases.begin('endless');
    await seconds(19);
    const asked = service.asked.length;
    await seconds(60);
    expect(service.asked).toHaveLength(asked);
    leases.end('endless');
    expect(seen.lost).toBe(1);
  });

  it('shares requests with others, up to the size that the service permits', async () => {
    const { leases, service } = setUp();
    for (let i = 0; i < 2 * MOST_ACK_IDS + 1; i++) leases.begin(`a${i}`);
    await seconds(2);
    expect(service.asked.map(({ ackIds }) => ackIds.length)).toEqual([MOST_ACK_IDS, MOST_ACK_IDS, 1]);
  });

  it('is extended no more after the stop', async () => {
    const { leases, service } = setUp();
    leases.begin('a');
    leases.stop();
    await seconds(60);
    expect(service.asked).toEqual([]);
  });
});
