import { describe, expect, it } from 'vitest';
import { chooseArm, stickyKey } from '../../../src/domain/experiment.js';
import { parseRoutes } from '../../../src/domain/routes.js';

const GUARD = { maxFailureRatio: 0.1, minOperations: 20, windowSeconds: 600 };
const arm = (name: string, version: string, weight: number) => ({ name, version, weight });
const experiment = (...weights: number[]) => ({
  name: 'x4plus',
  arms: weights.map((weight, i) => arm('abcdefghijk'[i] ?? '', String(i + 1), weight)),
  guard: GUARD,
});
const parse = (model: object) => parseRoutes(JSON.stringify({ models: { upscale: model } }));
const armsOf = (...weights: number[]) => parse({ default: '1', experiment: experiment(...weights) }).arms;
const KEYS = Array.from({ length: 20_000 }, (_, i) => `customer-${i}`);
const nameOf = (arms: ReturnType<typeof armsOf>, key: string) => chooseArm(arms, key)?.name;

describe('a routes file', () => {
  it('names the default version, and the arms of an experiment beside it', () => {
    const routes = parse({ default: '1', experiment: experiment(95, 5) });
    expect(routes.defaultVersion('upscale')).toBe('1');
    expect(routes.arms).toMatchObject([
      { model: 'upscale', experiment: 'x4plus', name: 'a', version: '1', weight: 95 },
      { model: 'upscale', experiment: 'x4plus', name: 'b', version: '2', weight: 5, guard: GUARD },
    ]);
    expect(routes.armOf('upscale', 'somebody')).toBeDefined();
  });

  it('has nobody judge the arm of the default version, nor any where there is no guard', () => {
    expect(armsOf(1, 1).map(({ guard }) => guard)).toEqual([undefined, GUARD]);
    const { guard, ...unguarded } = experiment(1, 1);
    expect(guard).toBe(GUARD);
    expect(parse({ default: '1', experiment: unguarded }).arms.map((one) => one.guard)).toEqual([undefined, undefined]);
  });

  it('may say nothing of a model, or of experiments', () => {
    const routes = parse({ default: '1' });
    expect(routes.defaultVersion('enhance')).toBeUndefined();
    expect(routes.armOf('enhance', 'k')).toBeUndefined();
    expect(routes.armOf('upscale', 'k')).toBeUndefined();
    expect(routes.arms).toEqual([]);
    for (const name of ['__proto__', 'constructor', 'toString']) expect(routes.defaultVersion(name)).toBeUndefined();
  });

  const good = experiment(95, 5);
  const guard = (more: object) => ({ default: '1', experiment: { ...good, guard: { ...GUARD, ...more } } });
  it.each<[string, object, string]>([
    ['no default', { experiment: good }, 'default: expected a version number as a string, given nothing'],
    ['a number', { default: 1 }, 'default: expected a version number as a string, given 1'],
    ['an unknown field', { default: '1', mirror: {} }, 'models.upscale.mirror: unknown field'],
    ['a shadow of no version', { default: '1', shadow: { share: 1 } }, 'shadow.version: expected a version number'],
    [
      'a share of nothing',
      { default: '1', shadow: { version: '2', share: 0 } },
      'models.upscale.shadow.share: expected a number above 0, given 0',
    ],
    [
      'a share in percent',
      { default: '1', shadow: { version: '2', share: 20 } },
      'shadow.share: expected a number from 0 to 1, given 20',
    ],
    [
      'a shadow of the default',
      { default: '1', shadow: { version: '1', share: 1 } },
      'models.upscale.shadow.version: expected another version than the default, given "1"',
    ],
    [
      'a name with a slash',
      { default: '1', experiment: { ...good, name: 'a/b' } },
      'digits, ".", "_" and "-", given "a/b"',
    ],
    [
      'a name too long',
      { default: '1', experiment: { ...good, name: 'x'.repeat(65) } },
      'experiment.name: expected 1 to 64',
    ],
    ['one arm', { default: '1', experiment: experiment(1) }, 'experiment.arms: expected 2 to 8 arms'],
    ['nine arms', { default: '1', experiment: experiment(1, 1, 1, 1, 1, 1, 1, 1, 1) }, 'expected 2 to 8 arms'],
    [
      'a negative weight',
      { default: '1', experiment: experiment(1, -1) },
      'arms.1.weight: expected 0, or a number from 0.000001 to 1000000000, given -1',
    ],
    ['a weight of next to nothing', { default: '1', experiment: experiment(5e-324, 0) }, 'given 5e-324'],
    [
      'no weight above 0',
      { default: '1', experiment: experiment(0, 0) },
      'arms: expected one weight above 0, given none',
    ],
    [
      'an arm twice',
      { default: '1', experiment: { ...good, arms: [arm('a', '1', 1), arm('b', '2', 1), arm('a', '2', 1)] } },
      'models.upscale.experiment.arms.2.name: expected a name that no other arm has, given "a"',
    ],
    [
      'a ratio of latencies that any version reaches',
      guard({ maxLatencyRatio: 1 }),
      'guard.maxLatencyRatio: expected a number from 1.1 to 1000, given 1',
    ],
    ['no time at all', guard({ maxSeconds: 0 }), 'guard.maxSeconds: expected a number from 0.1 to 86400, given 0'],
    ['an unknown field of the guard', guard({ maxLatency: 1 }), 'guard.maxLatency: unknown field'],
    ['a ratio of 0', guard({ maxFailureRatio: 0 }), 'guard.maxFailureRatio: expected a number above 0, given 0'],
    [
      'a ratio in percent',
      guard({ maxFailureRatio: 10 }),
      'guard.maxFailureRatio: expected a number from 0 to 1, given 10',
    ],
    [
      'no operations',
      guard({ minOperations: undefined }),
      'guard.minOperations: expected a whole number from 1 to 1000000, given nothing',
    ],
    [
      'half a second',
      guard({ windowSeconds: 0.5 }),
      'guard.windowSeconds: expected a whole number from 1 to 86400, given 0.5',
    ],
  ])('is refused with %s', (_name, model, message) => {
    expect(() => parse(model)).toThrow(message);
  });
});

it.each<[string, string, string]>([
  ['nothing of JSON', '{"models": NaN}', 'expected JSON: Unexpected token'],
  ['no models', '{}', 'models: expected an object with names of models as keys, given nothing'],
  ['a list', '[]', 'expected an object with the field models, given []'],
  [
    'a model without a name',
    '{"models":{"":{"default":"1"}}}',
    'models.: expected an object with names of models as keys',
  ],
])('a routes file of %s is refused', (_name, text, message) => {
  expect(() => parseRoutes(text)).toThrow(message);
});

describe('the arm of a key', () => {
  it('is given by weight', () => {
    const arms = armsOf(70, 25, 0, 5);
    const names = KEYS.map((key) => nameOf(arms, key));
    const share = (name: string) => names.filter((one) => one === name).length / KEYS.length;
    // Four standard deviations of 20,000 draws.
    expect(Math.abs(share('a') - 0.7)).toBeLessThan(0.013);
    expect(Math.abs(share('b') - 0.25)).toBeLessThan(0.0123);
    expect(share('c')).toBe(0);
    expect(Math.abs(share('d') - 0.05)).toBeLessThan(0.0062);
  });

  it('is the same for every delivery, in every worker, whatever else the file says', () => {
    const elsewhere = parseRoutes(
      JSON.stringify({
        models: { enhance: { default: '1' }, upscale: { experiment: experiment(50, 50), default: '2' } },
      }),
    );
    for (const key of KEYS.slice(0, 500)) {
      expect(elsewhere.armOf('upscale', key)?.name).toBe(nameOf(armsOf(50, 50), key));
    }
  });

  it('stays, where weights change, for all but those between the old border and the new one', () => {
    const [before, after] = [armsOf(95, 5), armsOf(80, 20)];
    const moved = KEYS.filter((key) => nameOf(before, key) !== nameOf(after, key));
    expect(Math.abs(moved.length / KEYS.length - 0.15)).toBeLessThan(0.0101);
    expect(new Set(moved.map((key) => nameOf(after, key)))).toEqual(new Set(['b']));
  });

  it('is another throw in another experiment', () => {
    const [one, other] = ['one', 'other'].map(
      (name) => parse({ default: '1', experiment: { ...experiment(1, 1), name } }).arms,
    );
    const same = KEYS.filter((key) => nameOf(one ?? [], key) === nameOf(other ?? [], key)).length;
    expect(Math.abs(same / KEYS.length - 0.5)).toBeLessThan(0.0142);
  });

  it("is the publisher's own, or the job's", () => {
    expect(stickyKey({ jobId: 'j', experimentKey: 'customer' })).toBe('customer');
    expect(stickyKey({ jobId: 'j' })).toBe('j');
  });
});

describe('the revision of an experiment', () => {
  const revisionOf = (model: object) => parse(model).arms[0]?.revision;

  it('changes with all that it says, and with nothing else', () => {
    const revision = revisionOf({ default: '1', experiment: experiment(95, 5) });
    expect(revision).toMatch(/^[0-9a-f]{12}$/);
    const { name, arms, guard } = experiment(95, 5);
    expect(revisionOf({ default: '2', experiment: { guard, arms, name } })).toBe(revision);
    for (const edited of [
      { name: 'y' },
      { arms: experiment(90, 10).arms },
      { guard: { ...GUARD, minOperations: 21 } },
    ]) {
      expect(revisionOf({ default: '1', experiment: { name, arms, guard, ...edited } })).not.toBe(revision);
    }
  });
});

describe('the shadow of a job', () => {
  const routes = (share: number) => parse({ default: '1', shadow: { version: '2', share } });
  const shadowed = (share: number) => KEYS.filter((jobId) => routes(share).shadowOf('upscale', jobId) === '2');

  it('goes to its share of the jobs, the same on every worker, and to more of them when the share grows', () => {
    const [few, many] = [shadowed(0.05), new Set(shadowed(0.2))];
    // Four standard deviations of 20,000 draws.
    expect(Math.abs(few.length / KEYS.length - 0.05)).toBeLessThan(0.0062);
    expect(Math.abs(many.size / KEYS.length - 0.2)).toBeLessThan(0.0114);
    expect(few.filter((jobId) => !many.has(jobId))).toEqual([]);
    expect(shadowed(1)).toHaveLength(KEYS.length);
  });

  it('is of the named model alone, and its version counts among those that the routes name', () => {
    expect(routes(1).shadowOf('enhance', 'a')).toBeUndefined();
    expect(parse({ default: '1' }).shadowOf('upscale', 'a')).toBeUndefined();
    expect(routes(1).shadows).toEqual([{ model: 'upscale', version: '2' }]);
    expect(routes(1).named).toEqual([
      { model: 'upscale', version: '1' },
      { model: 'upscale', version: '2' },
    ]);
    expect(routes(1).arms).toEqual([]);
  });
});
