import { beforeEach, describe, expect, it } from 'vitest';
import { createTally, type Tally } from '../../../scripts/dev/backlog/tally.js';

describe('what a jobs subscription still has', () => {
  let now: number;
  let tally: Tally;
  beforeEach(() => {
    now = 1_000_000;
    tally = createTally(() => now);
  });

  let ends = 0;
  const message = (id: string, job: string, copyOf?: readonly [firstId: string, deferrals: number]) =>
    tally.published({ id, key: job, publishedAtMs: now, firstId: copyOf?.[0] ?? id, deferrals: copyOf?.[1] ?? 0 });
  const end = (job: string | undefined, firstId?: string, id = `end-${++ends}`) =>
    tally.ended({ id, key: job, firstId });
  const count = () => tally.backlog().messages;

  it('is what was published and has not ended, and as old as its oldest', () => {
    message('1', 'a');
    now += 5_000;
    message('2', 'b');
    now += 2_000;
    expect(tally.backlog()).toEqual({ messages: 2, oldestAgeSeconds: 7 });
    end('a', '1');
    expect(tally.backlog()).toEqual({ messages: 1, oldestAgeSeconds: 2 });
    end('b', '2');
    expect(tally.backlog()).toEqual({ messages: 0, oldestAgeSeconds: 0 });
  });

  it('counts a duplicate until it is answered from the record, which names the first message', () => {
    message('1', 'a');
    message('2', 'a');
    end('a', '1');
    expect(count()).toBe(1);
    end('a', '1');
    expect(count()).toBe(0);
  });

  it('counts a copy in place of what was put back, as old as Pub/Sub says', () => {
    message('1', 'a');
    now += 60_000;
    message('2', 'a', ['1', 1]);
    expect(tally.backlog()).toEqual({ messages: 1, oldestAgeSeconds: 0 });
    message('3', 'a', ['1', 2]);
    expect(count()).toBe(1);
    end('a', '1');
    expect(count()).toBe(0);
  });

  it('does not drift where a message is put back twice, since a worker died before its ack', () => {
    message('1', 'a');
    message('2', 'a', ['1', 1]);
    message('3', 'a', ['1', 1]);
    expect(count()).toBe(2);
    end('a', '1');
    end('a', '1');
    expect(count()).toBe(0);
    message('4', 'b');
    expect(count()).toBe(1);
  });

  it('goes by the message where nothing can be read', () => {
    message('1', 'digest-of-x');
    message('2', 'digest-of-x');
    end(undefined, '2');
    expect(count()).toBe(1);
    end(undefined, '1');
    expect(count()).toBe(0);
  });

  it('takes what Pub/Sub itself gives up for ended: a copy with another id', () => {
    message('1', 'a');
    end('a');
    expect(count()).toBe(0);
  });

  it('knows an end that is seen before its message', () => {
    end('a', '1');
    message('1', 'a');
    end(undefined, '2');
    message('2', 'digest');
    message('4', 'c', ['3', 1]);
    message('3', 'c');
    expect(count()).toBe(1);
    end('c', '3');
    expect(count()).toBe(0);
  });

  it('is not led astray by what is delivered to it twice', () => {
    message('1', 'a');
    message('1', 'a');
    message('2', 'a');
    end('a', '1', 'same');
    end('a', '1', 'same');
    expect(count()).toBe(1);
    message('1', 'a');
    expect(count()).toBe(1);
  });

  it('forgets an end without a message after a minute, so that a completion published twice hides no later job', () => {
    message('1', 'a');
    end('a', '1');
    end('a', '1');
    now += 61_000;
    message('2', 'a');
    expect(count()).toBe(1);
  });
});
