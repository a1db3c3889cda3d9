import { describe, expect, it } from 'vitest';
import { leastStateDays, wantedBuckets, wantedSubscriptions } from '../../../src/cli/setup/wanted.js';

const places = {
  outputPrefix: 'gs://results/',
  statePrefix: 'gs://state/records/',
  uploadPrefix: 'gs://uploads/incoming',
  maxDeferredSeconds: 86_400,
  storageEmulator: undefined,
};

describe('leastStateDays', () => {
  it('is two retentions and the longest deferral, rounded up', () => {
    expect(leastStateDays(86_400)).toBe(15);
    expect(leastStateDays(0)).toBe(14);
    expect(leastStateDays(1)).toBe(15);
    expect(leastStateDays(604_800)).toBe(21);
  });
});

describe('wantedBuckets', () => {
  it('deletes records and uploads after a month, and never results', () => {
    const records = { folder: 'records', suffixes: ['.json', '.begun', '.moved', '.ended'], days: 30, leastDays: 15 };
    expect(wantedBuckets({ ...places }, {})).toMatchObject([
      { name: 'results', keep: [], softDelete: true, compare: { access: true, lifecycle: true } },
      { name: 'state', keep: [records], softDelete: false },
      { name: 'uploads', keep: [{ folder: 'incoming', suffixes: [], days: 30 }], softDelete: false },
    ]);
  });

  it('deletes what shadows store after a month, if a place for it is set', () => {
    const [, , , shadows] = wantedBuckets({ ...places, shadowPrefix: 'gs://shadows/kept' }, {});
    expect(shadows).toMatchObject({ name: 'shadows', keep: [{ folder: 'kept', days: 30 }], softDelete: false });
    const never = wantedBuckets({ ...places, shadowPrefix: 'gs://shadows' }, { shadowDays: 'never' });
    expect(never[3]?.keep[0]?.days).toBe('for ever');
    expect(() => wantedBuckets({ ...places, shadowPrefix: 'gs://results' }, {})).toThrow(
      /IMAGEN_OUTPUT_PREFIX: expected a place outside of IMAGEN_SHADOW_PREFIX/,
    );
  });

  it('takes days, and never, from the flags', () => {
    const kept = wantedBuckets(places, { stateDays: 'never', uploadDays: '1', resultsDays: '400' });
    expect(kept.map(({ keep }) => keep[0]?.days)).toEqual([400, 'for ever', 1]);
  });

  it('keeps records longer by itself where deferrals may take longer', () => {
    const [, state] = wantedBuckets({ ...places, maxDeferredSeconds: 20 * 86_400 }, {});
    expect(state?.keep[0]?.days).toBe(34);
  });

  it('refuses to delete records while a message of their job may still come, and says why', () => {
    expect(() => wantedBuckets(places, { stateDays: '14' })).toThrow(
      /--state-days: expected at least 15, given 14: .*7 days.*IMAGEN_MAX_DEFERRED_SECONDS \(1 day\).*worked on again/,
    );
    expect(wantedBuckets(places, { stateDays: '15' })[1]?.keep[0]?.days).toBe(15);
  });

  it('names everything that is wrong', () => {
    expect(() => wantedBuckets(places, { stateDays: '0', uploadDays: 'x', resultsDays: '1.5' })).toThrow(
      /--state-days: .*given 0\n.*--results-days: .*given 1\.5\n.*--upload-days: .*given x/s,
    );
  });

  it('gathers the rules of one bucket, and keeps the rest of a shared bucket as the service does', () => {
    const shared = { outputPrefix: 'gs://one/out', statePrefix: 'gs://one/state', uploadPrefix: 'gs://one/in' };
    const [one, ...more] = wantedBuckets({ ...places, ...shared }, {});
    expect(more).toEqual([]);
    expect(one).toMatchObject({ name: 'one', softDelete: true });
    expect(one?.keep.map(({ folder }) => folder)).toEqual(['state', 'in']);
  });

  it.each([
    [{ uploadPrefix: 'gs://results' }, {}, /IMAGEN_OUTPUT_PREFIX: expected a place outside of IMAGEN_UPLOAD_PREFIX/],
    [{ statePrefix: 'gs://uploads/incoming/x' }, {}, /IMAGEN_STATE_PREFIX: .*deleted after 30 days/],
    [
      { outputPrefix: 'gs://state/records' },
      {},
      /IMAGEN_OUTPUT_PREFIX: expected a place outside of IMAGEN_STATE_PREFIX/,
    ],
    [
      { uploadPrefix: 'gs://results/u' },
      { resultsDays: '9' },
      /IMAGEN_UPLOAD_PREFIX: .*outside of IMAGEN_OUTPUT_PREFIX/,
    ],
  ])('refuses a place within another that is emptied by age: %j', (more, flags, message) => {
    expect(() => wantedBuckets({ ...places, ...more }, flags)).toThrow(message);
  });

  it('permits it where nothing is deleted', () => {
    expect(() => wantedBuckets({ ...places, uploadPrefix: 'gs://results/u' }, {})).not.toThrow();
    expect(() =>
      wantedBuckets({ ...places, outputPrefix: 'gs://uploads/incoming/x' }, { uploadDays: 'never' }),
    ).not.toThrow();
  });

  it('holds an emulator to no settings of which it does not tell', () => {
    for (const { compare } of wantedBuckets({ ...places, storageEmulator: 'http://x' }, {})) {
      expect(compare).toEqual({ access: false, lifecycle: false });
    }
    expect(wantedBuckets(places, { keepAccess: true })[0]?.compare).toEqual({ access: false, lifecycle: true });
  });
});

describe('wantedSubscriptions', () => {
  const one = { jobsSubscriptions: [{ name: 'w', weight: 1 }] };

  it('takes the names of the configuration, with whatever filters they have', () => {
    const two = { jobsSubscriptions: [...one.jobsSubscriptions, { name: 'x', weight: 3 }] };
    expect(wantedSubscriptions(two, {})).toEqual([{ name: 'w' }, { name: 'x' }]);
  });

  it('makes names and filters from models and priorities', () => {
    expect(wantedSubscriptions(one, { perModel: 'upscale, style_comic' })).toEqual([
      { name: 'w-upscale', filter: 'attributes.model = "upscale"' },
      { name: 'w-style-comic', filter: 'attributes.model = "style_comic"' },
      { name: 'w-others', filter: expect.stringContaining('NOT') as string },
    ]);
    expect(wantedSubscriptions(one, { perPriority: true }).map(({ name }) => name)).toEqual([
      'w-interactive',
      'w-batch',
    ]);
    expect(wantedSubscriptions(one, { perTenant: 'a, shop:1' })).toEqual([
      { name: 'w-tenant-a', filter: 'attributes.tenant = "a"' },
      { name: 'w-tenant-shop-1', filter: 'attributes.tenant = "shop:1"' },
      { name: 'w-others', filter: 'NOT attributes.tenant = "a" AND NOT attributes.tenant = "shop:1"' },
    ]);
  });

  it.each([
    [{ perModel: '' }, /--per-model: expected names of models/],
    [{ perModel: 'a"b' }, /--per-model: expected names of models.*given a"b/],
    [{ perTenant: 'a/b' }, /--per-tenant: expected labels of tenants.*given a\/b/],
    [{ perTenant: 'a:b,a-b' }, /--per-tenant: two subscriptions would be named/],
    [{ perModel: 'a_b,a-b' }, /--per-model: two subscriptions would be named/],
  ])('refuses %j', (flags, message) => {
    expect(() => wantedSubscriptions(one, flags)).toThrow(message);
  });

  it('wants one name to make others from', () => {
    const two = { jobsSubscriptions: [...one.jobsSubscriptions, { name: 'x', weight: 3 }] };
    expect(() => wantedSubscriptions(two, { perPriority: true })).toThrow(/expected one name.*given 2/);
  });
});
