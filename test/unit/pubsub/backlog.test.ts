import { describe, expect, it } from 'vitest';
import { Backlog, type Holder, type Policies } from '../../../scripts/dev/pubsub/backlog.js';

const LEASE_MS = 10_000;
const UNORDERED: Policies = { ordered: false };

/** A backlog with a clock that stands still, and what became of its messages. */
function setUp(policies: Policies = UNORDERED, { deadLetters = true } = {}) {
  const clock = { now: 0 };
  const dead: string[] = [];
  const backlog = new Backlog(
    policies,
    () => clock.now,
    ({ messageId }, attempts) => deadLetters && dead.push(`${messageId} after ${attempts}`) > 0,
  );
  const holder = (limits: Partial<Holder> = {}): Holder => ({
    ...{ leaseMs: LEASE_MS, mostMessages: Infinity, mostBytes: Infinity, held: { messages: 0, bytes: 0 } },
    ...limits,
  });
  const anyone = holder();
  const add = (messageId: string, { key = '', bytes = 1 } = {}) =>
    backlog.add(
      { ...{ messageId, data: Buffer.from('x'), attributes: {} }, publishTime: null, orderingKey: key },
      bytes,
    );
  /** Everything that is to be had now, as the messages' ids; their ack ids are kept by these. */
  const ackIds = new Map<string, string>();
  const attempts = new Map<string, number>();
  const takeAll = (by = anyone) => {
    const taken: string[] = [];
    for (let next = backlog.take(by); next; next = backlog.take(by)) {
      const id = next.message?.messageId ?? '';
      taken.push(id);
      ackIds.set(id, next.ackId);
      attempts.set(id, next.deliveryAttempt);
    }
    return taken;
  };
  const ackIdOf = (id: string) => ackIds.get(id) ?? '';
  return {
    ...{ backlog, dead, attempts, add, holder, takeAll },
    ack: (id: string) => backlog.ack([ackIdOf(id)]),
    nack: (id: string) => backlog.modify(ackIdOf(id), 0),
    extend: (id: string, seconds: number) => backlog.modify(ackIdOf(id), seconds),
    /** Lets that time pass. @returns what is delivered then */
    after: (ms: number) => {
      clock.now += ms;
      backlog.tick();
      return takeAll();
    },
  };
}

describe("a subscription's backlog", () => {
  it('delivers in the order of publishing, and each message once', () => {
    const { add, takeAll } = setUp();
    for (const id of ['1', '2', '3']) add(id);
    expect(takeAll()).toEqual(['1', '2', '3']);
    expect(takeAll()).toEqual([]);
  });

  it('delivers again when the lease has ended, and not a millisecond earlier', () => {
    const { add, takeAll, after, backlog } = setUp();
    add('1');
    takeAll();
    expect(backlog.dueAt).toBe(LEASE_MS);
    expect(after(LEASE_MS - 1)).toEqual([]);
    expect(after(1)).toEqual(['1']);
  });

  it('never delivers again what was acked', () => {
    const { add, takeAll, ack, after } = setUp();
    add('1');
    takeAll();
    ack('1');
    expect(after(LEASE_MS)).toEqual([]);
  });

  it('ignores an ack that comes after the end of the lease', () => {
    const { add, takeAll, ack, after, backlog, holder } = setUp();
    add('1');
    takeAll();
    const late = holder({ mostMessages: 0 });
    backlog.tick();
    expect(after(LEASE_MS - 1)).toEqual([]);
    expect(takeAll(late)).toEqual([]);
    expect(after(1)).toEqual(['1']);
    backlog.ack(['ack-1']);
    expect(after(LEASE_MS)).toEqual(['1']);
    ack('1');
    expect(after(LEASE_MS)).toEqual([]);
  });

  it('counts an extension from now, also a shorter one', () => {
    const { add, takeAll, extend, after } = setUp();
    add('1');
    takeAll();
    expect(after(9_000)).toEqual([]);
    extend('1', 60);
    expect(after(59_999)).toEqual([]);
    extend('1', 1);
    expect(after(999)).toEqual([]);
    expect(after(1)).toEqual(['1']);
  });

  it('delivers at once again what was nacked, behind what waits', () => {
    const { add, takeAll, nack } = setUp();
    add('1');
    takeAll();
    add('2');
    nack('1');
    expect(takeAll()).toEqual(['2', '1']);
  });
});

describe('the retry policy', () => {
  const policies: Policies = { ordered: false, backoffMs: { least: 2_000, most: 5_000 } };

  it('doubles the pause after each nack, up to the longest', () => {
    const { add, takeAll, nack, after } = setUp(policies);
    add('1');
    takeAll();
    for (const pause of [2_000, 4_000, 5_000, 5_000]) {
      nack('1');
      expect(after(pause - 1)).toEqual([]);
      expect(after(1)).toEqual(['1']);
    }
  });

  it('applies at the end of a lease as well', () => {
    const { add, takeAll, after } = setUp(policies);
    add('1');
    takeAll();
    expect(after(LEASE_MS)).toEqual([]);
    expect(after(1_999)).toEqual([]);
    expect(after(1)).toEqual(['1']);
  });

  it('holds back nothing else', () => {
    const { add, takeAll, nack } = setUp(policies);
    add('1');
    takeAll();
    nack('1');
    add('2');
    expect(takeAll()).toEqual(['2']);
  });
});

describe('the dead-letter policy', () => {
  const policies: Policies = { ordered: false, mostAttempts: 5 };

  it('counts nacks and ended leases, and takes the message away after the last attempt', () => {
    const { add, takeAll, nack, after, attempts, dead } = setUp(policies);
    add('1');
    takeAll();
    for (const attempt of [1, 3]) {
      expect(attempts.get('1')).toBe(attempt);
      nack('1');
      takeAll();
      after(LEASE_MS);
    }
    expect(attempts.get('1')).toBe(5);
    expect(dead).toEqual([]);
    nack('1');
    expect(takeAll()).toEqual([]);
    expect(dead).toEqual(['1 after 5']);
  });

  it('lets the message go on where its topic is gone', () => {
    const { add, takeAll, nack, attempts } = setUp(policies, { deadLetters: false });
    add('1');
    for (let i = 0; i < 6; i++) {
      takeAll();
      nack('1');
    }
    expect(takeAll()).toEqual(['1']);
    expect(attempts.get('1')).toBe(7);
  });

  it('is what makes attempts count for subscribers', () => {
    const { add, takeAll, nack, attempts } = setUp();
    add('1');
    takeAll();
    nack('1');
    takeAll();
    expect(attempts.get('1')).toBe(0);
  });
});

describe('ordering keys', () => {
  const policies: Policies = { ordered: true, mostAttempts: 5, backoffMs: { least: 1_000, most: 1_000 } };
  const filled = (given: Policies) => {
    const set = setUp(given);
    set.add('a1', { key: 'a' });
    set.add('a2', { key: 'a' });
    set.add('b1', { key: 'b' });
    set.add('x1');
    set.add('x2');
    return set;
  };

  it('have one message in flight each', () => {
    const { takeAll, ack } = filled(policies);
    expect(takeAll()).toEqual(['a1', 'b1', 'x1', 'x2']);
    ack('a1');
    expect(takeAll()).toEqual(['a2']);
  });

  it('keep their order while a message pauses', () => {
    const { takeAll, nack, ack, after } = filled(policies);
    takeAll();
    nack('a1');
    expect(takeAll()).toEqual([]);
    expect(after(1_000)).toEqual(['a1']);
    ack('a1');
    expect(takeAll()).toEqual(['a2']);
  });

  it('go on behind a dead letter', () => {
    const { takeAll, nack, after, dead } = filled(policies);
    takeAll();
    for (let i = 0; i < 4; i++) {
      nack('a1');
      expect(after(1_000)).toEqual(['a1']);
    }
    nack('a1');
    expect(dead).toEqual(['a1 after 5']);
    expect(takeAll()).toEqual(['a2']);
  });

  it('come again when everything of theirs was acked', () => {
    const { takeAll, ack, add } = filled(policies);
    takeAll();
    ack('b1');
    add('b2', { key: 'b' });
    expect(takeAll()).toEqual(['b2']);
  });

  it('mean nothing to a subscription without ordering', () => {
    expect(filled(UNORDERED).takeAll()).toEqual(['a1', 'a2', 'b1', 'x1', 'x2']);
  });
});

describe('flow control', () => {
  it('gives a holder no more messages than it may have, until one is settled or its lease ends', () => {
    const { add, takeAll, holder, ack, backlog, after } = setUp();
    const one = holder({ mostMessages: 2 });
    for (const id of ['1', '2', '3', '4', '5']) add(id);
    expect(takeAll(one)).toEqual(['1', '2']);
    ack('1');
    expect(takeAll(one)).toEqual(['3']);
    backlog.modify('ack-2', 0);
    expect(takeAll(one)).toEqual(['4']);
    expect(after(LEASE_MS)).toEqual(['5', '2', '3', '4']);
    expect(one.held).toEqual({ messages: 0, bytes: 0 });
  });

  it('gives nothing to one who holds so many bytes or more', () => {
    const { add, takeAll, holder, ack } = setUp();
    const one = holder({ mostBytes: 100 });
    for (const id of ['1', '2', '3']) add(id, { bytes: 60 });
    expect(takeAll(one)).toEqual(['1', '2']);
    ack('1');
    expect(takeAll(one)).toEqual(['3']);
  });
});
