import { describe, expect, it } from 'vitest';
import type { Delivery } from '../../../src/domain/ports.js';
import { deferredAttributes, deferredForMs, undeferred } from '../../../src/worker/defer.js';

const first: Delivery = {
  messageId: 'm1',
  data: Buffer.from('{}'),
  attributes: { model: 'upscale', googclient_x: 'y' },
  attempt: 3,
  publishedAt: new Date(Date.now() - 60_000),
};

/** The copy as the service delivers it. */
const copyOf = (delivery: Delivery, attempt: number): Delivery => ({
  ...delivery,
  messageId: 'm2',
  attributes: deferredAttributes(undeferred(delivery)),
  attempt,
  publishedAt: new Date(),
});

describe('a deferred message', () => {
  it('keeps its id, its time and its attempts, but for the one that was put off', () => {
    const second = copyOf(first, 1);
    expect(undeferred(second)).toMatchObject({ messageId: 'm1', publishedAt: first.publishedAt, attempt: 3 });
    const third = copyOf({ ...second, attempt: 2 }, 2);
    expect(undeferred(third)).toMatchObject({ messageId: 'm1', publishedAt: first.publishedAt, attempt: 5 });
    expect(third.attributes).toMatchObject({ model: 'upscale', deferrals: '2' });
    expect(third.attributes.deferredSince).toBe(second.attributes.deferredSince);
    expect(third.attributes).not.toHaveProperty('googclient_x');
  });

  it('is not counted where the subscription does not count', () => {
    expect(undeferred(copyOf({ ...first, attempt: 0 }, 0)).attempt).toBe(0);
  });

  it('knows since when it has been put off', () => {
    expect(deferredForMs(first)).toBeUndefined();
    expect(deferredForMs(copyOf(first, 1))).toBeLessThan(1_000);
  });

  it.each([
    { deferredSince: 'yesterday' },
    { deferredSince: '-5' },
    { deferredSince: '99999999999999999999' },
    { deferredSince: String(Date.now() + 3_600_000) },
    { deferrals: '7', attempts: '3', publishedAt: '0' },
  ])('is not one for attributes that make no sense: %j', (attributes) => {
    const delivery = { ...first, attributes };
    expect(undeferred(delivery)).toEqual(delivery);
  });

  it('takes what makes sense of the others', () => {
    const attributes = { deferredSince: '1000', attempts: '1e9', publishedAt: 'NaN', deferrals: '9007199254740992' };
    expect(undeferred({ ...first, attributes })).toMatchObject({
      messageId: 'm1',
      attempt: 3,
      publishedAt: first.publishedAt,
    });
    expect(deferredAttributes({ ...first, attributes })).toMatchObject({ deferrals: '1', deferredSince: '1000' });
  });

  it('is not put back without one of its attributes, which a filter may go by', () => {
    const attributes = Object.fromEntries(Array.from({ length: 95 }, (_, i) => [`a${i}`, 'x']));
    expect(Object.keys(deferredAttributes({ ...first, attributes }))).toHaveLength(100);
    expect(() => deferredAttributes({ ...first, attributes: { ...attributes, one: 'more' } })).toThrow('at most 95');
  });

  it('keeps its past where the clock of whoever put it back is a little ahead', () => {
    const attributes = { deferrals: '1', deferredSince: String(Date.now() + 500), attempts: '2' };
    expect(undeferred({ ...first, attributes }).attempt).toBe(5);
  });
});
