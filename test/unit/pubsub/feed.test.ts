import { describe, expect, it } from 'vitest';
import { Backlog } from '../../../scripts/dev/pubsub/backlog.js';
import { Feed, type Taker } from '../../../scripts/dev/pubsub/feed.js';
import { notFound } from '../../../scripts/dev/pubsub/refusal.js';

/** A feed with that many messages, and takers that keep the sizes of what they are given. */
function setUp(messages: number, bytes = 1) {
  const now = () => 0;
  const backlog = new Backlog({ ordered: false }, now, () => false);
  const feed = new Feed(backlog, now);
  for (let i = 0; i < messages; i++) {
    const message = {
      messageId: String(i),
      data: Buffer.from('x'),
      attributes: {},
      publishTime: null,
      orderingKey: '',
    };
    backlog.add(message, bytes);
  }
  const join = ({ writable = true, mostMessages = Infinity } = {}) => {
    const batches: number[] = [];
    const taker: Taker & { writable: boolean } = {
      ...{ leaseMs: 10_000, mostMessages, mostBytes: Infinity, held: { messages: 0, bytes: 0 }, writable },
      give: (given) => void batches.push(given.length),
      end: () => void batches.push(-1),
    };
    feed.join(taker);
    return { taker, batches };
  };
  return { feed, join, served: () => Promise.resolve() };
}

describe('a feed', () => {
  it('shares messages out evenly, each share in one batch', async () => {
    const { join, served } = setUp(30);
    const takers = [join(), join(), join()];
    await served();
    expect(takers.map(({ batches }) => batches)).toEqual([[10], [10], [10]]);
  });

  it('gives the others what one has no room for', async () => {
    const { join, served } = setUp(30);
    const [small, large] = [join({ mostMessages: 5 }), join()];
    await served();
    expect([small.batches, large.batches]).toEqual([[5], [25]]);
  });

  it('waits until a connection takes more', async () => {
    const { feed, join, served } = setUp(3);
    const { taker, batches } = join({ writable: false });
    await served();
    expect(batches).toEqual([]);
    taker.writable = true;
    feed.wake();
    await served();
    expect(batches).toEqual([3]);
  });

  it('divides what is too large for one answer', async () => {
    const { join, served } = setUp(3, 3_000_000);
    const { batches } = join();
    await served();
    expect(batches).toEqual([2, 1]);
  });

  it('ends those who wait when it closes, and gives nothing to those who have left', async () => {
    const { feed, join, served } = setUp(3);
    const [stays, leaves] = [join({ mostMessages: 0 }), join()];
    feed.leave(leaves.taker);
    await served();
    feed.close(notFound('projects/p/subscriptions/s'));
    expect([stays.batches, leaves.batches]).toEqual([[-1], []]);
  });
});
