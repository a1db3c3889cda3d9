import { describe, expect, it } from 'vitest';
import { parseRoutesDocument, type RoutesDocument } from '../../../src/domain/routes.js';
import {
  changedModels,
  DEFAULT_GUARD,
  differences,
  promoted,
  shadowed,
  shared,
  unshadowed,
  withEntryOf,
  writeRoutes,
} from '../../../src/domain/routes-edit.js';

const ROUTES: Pick<RoutesDocument, 'models'> = {
  models: { upscale: { default: '1' }, enhance: { default: '3' } },
};

function share(routes: typeof ROUTES, version: string, percent: number, limits = {}) {
  const next = shared(routes, 'upscale', version, percent, limits);
  if ('refused' in next) throw new Error(next.refused);
  return next;
}
const experimentIn = (routes: typeof ROUTES) => routes.models.upscale?.experiment;

describe('a share', () => {
  it('is an experiment of the default and the version, with a guard', () => {
    const next = share(ROUTES, '2', 5);
    expect(next.models).toEqual({
      upscale: {
        default: '1',
        experiment: {
          name: 'canary-2',
          arms: [
            { name: 'stable', version: '1', weight: 95 },
            { name: 'canary', version: '2', weight: 5 },
          ],
          guard: DEFAULT_GUARD,
        },
      },
      enhance: { default: '3' },
    });
    expect(ROUTES.models.upscale).toEqual({ default: '1' });
  });

  it('keeps names, order and limits when it is raised, so that keys keep their arm', () => {
    const own = { name: 'x4plus', arms: [], guard: { maxFailureRatio: 0.5, minOperations: 4, windowSeconds: 60 } };
    const arms = [
      { name: 'b', version: '2', weight: 5 },
      { name: 'a', version: '1', weight: 95 },
    ];
    const routes = { models: { upscale: { default: '1', experiment: { ...own, arms } } } };
    expect(experimentIn(share(routes, '2', 20.1, { minOperations: 9 }))).toEqual({
      name: 'x4plus',
      arms: [
        { name: 'b', version: '2', weight: 20.1 },
        { name: 'a', version: '1', weight: 79.9 },
      ],
      guard: { ...own.guard, minOperations: 9 },
    });
  });

  it('replaces an experiment of other versions', () => {
    expect(experimentIn(share(share(ROUTES, '2', 5), '3', 5))?.name).toBe('canary-3');
  });

  it.each([
    ['1', 'upscale', /version 1 is the default of upscale already/],
    ['2', 'nothing', /the routes have no entry for nothing/],
  ])('is refused for version %s of %s', (version, model, reason) => {
    expect(shared(ROUTES, model, version, 5)).toEqual({ refused: expect.stringMatching(reason) as string });
  });
});

it('promotes a version, ends its experiment and leaves the others', () => {
  const next = promoted(share(ROUTES, '2', 5), 'upscale', '2');
  expect(next.models).toEqual({ upscale: { default: '2' }, enhance: { default: '3' } });
});

describe('a shadow', () => {
  const withShadow = (routes: typeof ROUTES, version: string, percent: number) => {
    const next = shadowed(routes, 'upscale', version, percent);
    if ('refused' in next) throw new Error(next.refused);
    return next;
  };

  it('is written beside the experiment, replaced, and taken away', () => {
    const canary = share(ROUTES, '2', 5);
    const both = withShadow(canary, '3', 0.1);
    expect(both.models).toEqual({
      ...canary.models,
      upscale: { ...canary.models.upscale, shadow: { version: '3', share: 0.001 } },
    });
    expect(withShadow(both, '4', 100).models.upscale?.shadow).toEqual({ version: '4', share: 1 });
    expect(unshadowed(both, 'upscale')).toEqual(canary);
  });

  it('stays while its model gets a canary, and ends when its version becomes the default', () => {
    const both = share(withShadow(ROUTES, '3', 20), '2', 5);
    expect(both.models.upscale?.shadow).toEqual({ version: '3', share: 0.2 });
    expect(promoted(both, 'upscale', '2').models.upscale).toEqual({
      ...{ default: '2', shadow: { version: '3', share: 0.2 } },
    });
    expect(promoted(both, 'upscale', '3').models.upscale).toEqual({ default: '3' });
  });

  it.each([
    ['of the default', shadowed(ROUTES, 'upscale', '1', 5), /version 1 is the default of upscale/],
    ['of no model', shadowed(ROUTES, 'nothing', '2', 5), /the routes have no entry for nothing/],
    ['that is not there', unshadowed(ROUTES, 'upscale'), /upscale has no shadow/],
  ])('%s is refused', (_, edit, reason) => {
    expect(edit).toEqual({ refused: expect.stringMatching(reason) as string });
  });
});

it('brings one entry back, or takes it away, and leaves the others', () => {
  const now = { models: { upscale: { default: '2' }, enhance: { default: '4' }, new: { default: '1' } } };
  expect(withEntryOf(now, ROUTES, 'upscale').models).toEqual({ ...now.models, upscale: { default: '1' } });
  expect(Object.keys(withEntryOf(now, ROUTES, 'new').models)).toEqual(['upscale', 'enhance']);
});

it('shows what changes, model by model', () => {
  const next = promoted(ROUTES, 'upscale', '2');
  expect(changedModels(ROUTES, next)).toEqual(['upscale']);
  expect(differences(ROUTES, next)).toEqual(['upscale:', '  {', '-   "default": "1"', '+   "default": "2"', '  }']);
  expect(differences({ models: {} }, ROUTES).slice(0, 4)).toEqual(['enhance:', '+ {', '+   "default": "3"', '+ }']);
  expect(differences(ROUTES, { models: { upscale: { default: '1' } } })).toEqual([
    ...['enhance:', '- {', '-   "default": "3"', '- }'],
  ]);
});

it('takes the same fields in another order for the same', () => {
  const [experiment] = [experimentIn(share(ROUTES, '2', 5))];
  const a = { models: { upscale: { default: '1', experiment } } };
  const b = { models: { upscale: { experiment, default: '1' } } };
  expect(changedModels(a, b)).toEqual([]);
});

it('writes a document that is read back, with who wrote it and why', () => {
  const change = { by: 'kim@host', at: '2026-11-28T10:00:00.000Z', note: 'better' };
  expect(parseRoutesDocument(writeRoutes(ROUTES, change))).toEqual({ change, ...ROUTES });
});

describe('a model with the name of an inherited property', () => {
  it.each(['constructor', 'toString', 'valueOf'])('has no entry before it is given one: %s', (model) => {
    expect(shared(ROUTES, model, '2', 5)).toHaveProperty('refused');
    expect(shadowed(ROUTES, model, '2', 5)).toHaveProperty('refused');
    const next = promoted(ROUTES, model, '1');
    expect(next.models).toHaveProperty(model, { default: '1' });
    expect(differences(ROUTES, next)).toEqual([`${model}:`, '+ {', '+   "default": "1"', '+ }']);
    expect(withEntryOf(next, ROUTES, model)).toEqual(ROUTES);
  });

  it('is refused where it cannot be kept', () => {
    expect(() => parseRoutesDocument('{"models":{"__proto__":{"default":"1"}}}')).toThrow('given "__proto__"');
  });
});
