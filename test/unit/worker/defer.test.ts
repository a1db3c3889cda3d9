import { describe, expect, it } from 'vitest';
import type { Delivery } from '../../../src/domain/ports.js';
import { JobError } from '../../../src/domain/errors.js';
import {
  awayForMs,
  precautionsOf,
  deferredAttributes,
  type Known,
  lastErrorOf,
  missingNow,
  type PutBack,
  undeferred,
} from '../../../src/worker/defer.js';

const first: Delivery = {
  messageId: 'm1',
  data: Buffer.from('{}'),
  attributes: { model: 'upscale', googclient_x: 'y' },
  attempt: 3,
  publishedAt: new Date(Date.now() - 60_000),
};

const away: PutBack = { error: new Error('away'), missing: 'model upscale', awayMs: 0, counts: false };

const HOUR_MS = 3_600_000;
const known = (more: Partial<Known> = {}): Known => ({ awaySince: Date.now(), arrivedAt: Date.now(), ...more });

/** The copy as the service delivers it. */
const copyOf = (delivery: Delivery, attempt: number, why = away): Delivery => ({
  ...delivery,
  messageId: 'm2',
  attributes: deferredAttributes(undeferred(delivery), why),
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
    expect(third.attributes).not.toHaveProperty('googclient_x');
  });

  it('is not counted where the subscription does not count', () => {
    expect(undeferred(copyOf({ ...first, attempt: 0 }, 0)).attempt).toBe(0);
  });

  it('counts this delivery where the job may be what went wrong', () => {
    const suspect = { ...away, counts: true };
    expect(undeferred(copyOf(first, 1, suspect)).attempt).toBe(4);
    const uncounted = { ...first, attempt: 0 };
    expect(undeferred(copyOf(uncounted, 0, suspect)).attempt).toBe(2);
    expect(undeferred(copyOf(copyOf(uncounted, 0, suspect), 0, suspect)).attempt).toBe(3);
  });

  it('knows for how long what it needs has been away without a break', () => {
    expect(awayForMs(first, 'model upscale', known())).toBe(0);
    const hour = copyOf(first, 1, { ...away, awayMs: HOUR_MS });
    expect(awayForMs(hour, 'model upscale', known())).toBeGreaterThanOrEqual(HOUR_MS);
    expect(awayForMs(hour, 'read bucket in', known())).toBe(0);
    // The model has answered somebody half an hour ago: what is away now has been away since then at the most.
    expect(awayForMs(hour, 'model upscale', known({ usedAt: Date.now() - HOUR_MS / 2 }))).toBe(0);
    // It answered before the job was first put back for it.
    expect(awayForMs(hour, 'model upscale', known({ usedAt: Date.now() - 2 * HOUR_MS }))).toBeGreaterThanOrEqual(
      HOUR_MS,
    );
  });

  it('does not count the time in the backlog, unless this worker has found away then what the job needs', () => {
    // It was put back ten hours ago, after the model had been away for an hour, and lay in the backlog for nine hours.
    const put = Date.now() - 10 * HOUR_MS;
    const attributes = { ...copyOf(first, 1).attributes, deferredSince: String(put - HOUR_MS) };
    const copy = { ...copyOf(first, 1), attributes, publishedAt: new Date(put) };
    const arrivedAt = Date.now() - HOUR_MS;
    const hours = (more: Partial<Known>) =>
      Math.round(awayForMs(copy, 'model upscale', known({ arrivedAt, ...more })) / HOUR_MS);
    expect(hours({})).toBe(2);
    expect(hours({ awaySince: put - HOUR_MS })).toBe(11);
    expect(hours({ awaySince: put + 4 * HOUR_MS })).toBe(7);
    // A minute is no break.
    const late = { ...copy, publishedAt: new Date(arrivedAt - 60_000) };
    expect(Math.round(awayForMs(late, 'model upscale', known({ arrivedAt })) / HOUR_MS)).toBe(11);
  });

  it('goes on to wait for the part of what is away for which it was put back', () => {
    const copy = copyOf(first, 1, { ...away, missing: 'version 3 of model upscale' });
    expect(missingNow(copy, 'model upscale')).toBe('version 3 of model upscale');
    for (const other of ['model other', 'version 4 of model upscale', undefined]) {
      expect(missingNow(copy, other)).toBe(other);
    }
    expect(missingNow(copyOf(first, 1), 'version 3 of model upscale')).toBe('version 3 of model upscale');
  });

  it('takes over what workers have put back that did not say what was away', () => {
    const attributes = { deferrals: '3', deferredSince: String(Date.now() - 5_000), attempts: '1' };
    const old = { ...first, attributes, publishedAt: new Date() };
    expect(awayForMs(old, 'model upscale', known())).toBeGreaterThanOrEqual(5_000);
    expect(undeferred(old).attempt).toBe(4);
  });

  it('remembers the error, within the length that Pub/Sub permits', () => {
    const error = new JobError('INTERNAL', 'ü'.repeat(5_000), { stage: 'encode' });
    const copy = copyOf(first, 1, { ...away, error });
    expect(Buffer.byteLength(copy.attributes.lastError ?? '')).toBeLessThanOrEqual(1_024);
    expect(lastErrorOf(copy)).toMatchObject({ code: 'INTERNAL', stage: 'encode' });
    expect(lastErrorOf(copy)?.message).toMatch(/^ü{100}/);
    for (const lastError of ['', 'x', '{}', 'null', '{"code":"toString","message":"x"}', '{"code":"INTERNAL"}', '[]']) {
      expect(lastErrorOf({ ...first, attributes: { lastError } })).toBeUndefined();
    }
  });

  it('tells the next worker how careful to be, also beside a long error and after one that says nothing', () => {
    const error = new JobError('MODEL_UNAVAILABLE', 'x'.repeat(5_000));
    const since = performance.now();
    const suspect = copyOf(first, 1, { ...away, error, precautions: { suspectSince: since } });
    // Pub/Sub's times are whole milliseconds.
    expect(precautionsOf(suspect).suspectSince).toBeGreaterThanOrEqual(since - 1);
    expect(precautionsOf(suspect).alone).toBeUndefined();
    const crowded = copyOf(first, 1, { ...away, error, precautions: { alone: true } });
    expect(precautionsOf(crowded)).toEqual({ alone: true });
    expect(precautionsOf(copyOf(crowded, 1))).toEqual({ alone: true });
    expect(precautionsOf(copyOf(first, 1, { ...away, error }))).toEqual({});
    expect(precautionsOf({ ...first, attributes: { lastError: '{"apart":"yes","alone":1}' } })).toEqual({});
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
    expect(deferredAttributes({ ...first, attributes }, away)).toMatchObject({ deferrals: '1' });
  });

  it('is not put back without one of its attributes, which a filter may go by', () => {
    const attributes = Object.fromEntries(Array.from({ length: 93 }, (_, i) => [`a${i}`, 'x']));
    expect(Object.keys(deferredAttributes({ ...first, attributes }, away))).toHaveLength(99);
    expect(() => deferredAttributes({ ...first, attributes: { ...attributes, one: 'more' } }, away)).toThrow(
      'at most 93',
    );
  });

  it('keeps its past where the clock of whoever put it back is a little ahead', () => {
    const attributes = { deferrals: '1', deferredSince: String(Date.now() + 500), attempts: '2' };
    expect(undeferred({ ...first, attributes }).attempt).toBe(5);
  });
});
