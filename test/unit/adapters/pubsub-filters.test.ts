import { describe, expect, it } from 'vitest';
import { gaps, overlaps } from '../../../src/adapters/pubsub/inspect.js';
import { shareOut } from '../../../src/adapters/pubsub/filters.js';

const FIVE = ['upscale', 'enhance', 'background_remove', 'style_comic', 'style_aged'];

/** The part of Pub/Sub's filter language that is used: comparisons with `=`, `NOT` before one, `AND` between them. */
function passes(filter: string, attributes: Readonly<Record<string, string>>): boolean {
  return filter.split(' AND ').every((term) => {
    const match = /^(NOT )?attributes\.([a-z]+) = "([^"\\]*)"$/.exec(term);
    if (!match) throw new Error(`not understood: ${term}`);
    const [, not, key = '', value] = match;
    return (attributes[key] === value) !== (not !== undefined);
  });
}

const MESSAGES = [undefined, ...FIVE, 'sepia', ''].flatMap((model) =>
  [undefined, 'interactive', 'batch', ''].flatMap((priority) =>
    [undefined, 'a', 'b', 'c'].map((tenant) => ({
      ...(model === undefined ? {} : { model }),
      ...(priority === undefined ? {} : { priority }),
      ...(tenant === undefined ? {} : { tenant }),
    })),
  ),
);

describe('shareOut', () => {
  it.each([
    { models: ['upscale'], byPriority: false },
    { models: FIVE, byPriority: false },
    { models: [], byPriority: true },
    { models: FIVE, byPriority: true },
    { tenants: ['a', 'b'] },
    { tenants: ['a', 'b'], models: ['upscale'], byPriority: true },
  ])('lets every message through exactly one filter: $tenants, $models, by priority $byPriority', (by) => {
    const shares = shareOut(by);
    for (const message of MESSAGES) {
      const takers = shares.filter(({ filter }) => passes(filter, message)).map(({ suffix }) => suffix);
      expect(takers, JSON.stringify(message)).toHaveLength(1);
    }
    expect(gaps(shares.map(({ filter }) => filter))).toEqual([]);
  });

  it('writes filters as Pub/Sub wants them, and names that its rules permit', () => {
    expect(shareOut({ models: ['upscale', 'style_comic'], byPriority: false })).toEqual([
      { suffix: 'upscale', filter: 'attributes.model = "upscale"' },
      { suffix: 'style-comic', filter: 'attributes.model = "style_comic"' },
      { suffix: 'others', filter: 'NOT attributes.model = "upscale" AND NOT attributes.model = "style_comic"' },
    ]);
    expect(shareOut({ models: ['upscale'], byPriority: true })).toEqual([
      { suffix: 'upscale-interactive', filter: 'attributes.model = "upscale" AND attributes.priority = "interactive"' },
      { suffix: 'upscale-batch', filter: 'attributes.model = "upscale" AND NOT attributes.priority = "interactive"' },
      {
        suffix: 'others-interactive',
        filter: 'NOT attributes.model = "upscale" AND attributes.priority = "interactive"',
      },
      {
        suffix: 'others-batch',
        filter: 'NOT attributes.model = "upscale" AND NOT attributes.priority = "interactive"',
      },
    ]);
    expect(shareOut({ tenants: ['shop:1'], byPriority: true }).map(({ suffix }) => suffix)).toEqual([
      ...['tenant-shop-1-interactive', 'tenant-shop-1-batch', 'others-interactive', 'others-batch'],
    ]);
    expect(shareOut({ tenants: ['shop:1'] })).toEqual([
      { suffix: 'tenant-shop-1', filter: 'attributes.tenant = "shop:1"' },
      { suffix: 'others', filter: 'NOT attributes.tenant = "shop:1"' },
    ]);
    expect(shareOut({ models: [], byPriority: true }).map(({ suffix }) => suffix)).toEqual(['interactive', 'batch']);
  });

  it('stays within the 256 bytes of a filter with the five models and priorities, and refuses more', () => {
    for (const { filter } of shareOut({ models: FIVE, byPriority: true })) {
      expect(Buffer.byteLength(filter)).toBeLessThanOrEqual(256);
    }
    expect(() => shareOut({ models: [...FIVE, 'style_of_a_long_name', 'another'], byPriority: false })).toThrow(
      /the filter of …-others has 2\d\d bytes, and Pub\/Sub permits 256/,
    );
  });

  it.each([
    [['a_b', 'a-b'], '…-a-b'],
    [['others'], '…-others'],
    [['upscale', 'upscale'], '…-upscale'],
  ])('refuses %j, of which two would have one name', (models, name) => {
    expect(() => shareOut({ models, byPriority: false })).toThrow(`two subscriptions would be named ${name}`);
  });
});

describe('overlaps', () => {
  const upscale = { name: 'w-upscale', filter: 'attributes.model = "upscale"' };
  const others = { name: 'w-others', filter: 'NOT attributes.model = "upscale"' };
  const all = { name: 'w', filter: '' };
  const both = new Set(['w-upscale', 'w-others']);

  it('finds none where jobs are shared out, or one takes them all', () => {
    expect(overlaps([upscale, others], both)).toEqual([]);
    expect(overlaps([all], new Set(['w']))).toEqual([]);
  });

  it('finds the one without a filter beside others, whichever of them is wanted', () => {
    const sentence = ['w has no filter, so it takes every job that w-upscale, w-others take, too'];
    expect(overlaps([upscale, others, all], both)).toEqual(sentence);
    expect(overlaps([all, upscale, others], new Set(['w']))).toEqual(sentence);
  });

  it('finds two without filters', () => {
    expect(overlaps([all, { name: 'x', filter: '' }], new Set(['w', 'x']))).toHaveLength(1);
  });

  it.each<[boolean, string, string]>([
    [true, 'attributes.model = "upscale"', 'attributes.model = "upscale"'],
    [true, 'attributes.model = "upscale"', 'NOT attributes.model = "enhance"'],
    [true, 'attributes.model = "upscale"', 'attributes.priority = "interactive"'],
    [true, 'NOT attributes.model = "upscale"', 'NOT attributes.model = "enhance"'],
    [false, 'attributes.model = "upscale"', 'attributes.model = "enhance"'],
    [false, 'attributes.model = "upscale" AND attributes.priority = "batch"', 'NOT attributes.priority = "batch"'],
    [false, 'hasPrefix(attributes.model, "u")', 'attributes.model = "upscale"'],
  ])('says %s of two wanted ones with the filters %s and %s', (expected, a, b) => {
    const pair = [
      { name: 'a', filter: a },
      { name: 'b', filter: b },
    ];
    expect(overlaps(pair, new Set(['a', 'b']))).toEqual(
      expected ? [`a and b take the same jobs: filters ${a} and ${b}`] : [],
    );
  });

  it.each([FIVE, ['upscale']])('finds none among those that are shared out for %s', (...models) => {
    for (const shares of [shareOut({ models, byPriority: true }), shareOut({ models, byPriority: false })]) {
      const all = shares.map(({ suffix, filter }) => ({ name: suffix, filter }));
      expect(overlaps(all, new Set(all.map(({ name }) => name)))).toEqual([]);
    }
  });

  it('finds one that is left over from another sharing out', () => {
    const enhance = { name: 'w-enhance', filter: 'attributes.model = "enhance"' };
    expect(overlaps([upscale, others, enhance], both)).toEqual([
      'w-enhance, with the filter attributes.model = "enhance", takes jobs that the wanted ones take, too',
    ]);
  });
});

describe('gaps', () => {
  const [isB, isC, notB, notBC] = [
    ...['attributes.tenant = "b"', 'attributes.tenant = "c"', 'NOT attributes.tenant = "b"'],
    'NOT attributes.tenant = "b" AND NOT attributes.tenant = "c"',
  ] as const;

  it.each<[string, readonly string[], readonly string[]]>([
    ['nothing subscribes', [], []],
    ['one takes everything', [isB, ''], []],
    ['the rest is taken', [isB, notB], []],
    ['nobody takes the rest', [isB], ['no or another tenant']],
    ['a tenant is left out of the rest, and has none of its own', [isB, notBC], ['tenant c']],
    ['two take the same', [isB, isC, notB], []],
    ['a filter is of another form', [isB, 'hasPrefix(attributes.tenant, "c")'], []],
    [
      'one of two priorities is not taken',
      [`${isB} AND attributes.priority = "interactive"`, notB],
      ['tenant b and no or another priority'],
    ],
  ])('where %s: %j', (_why, filters, expected) => {
    expect(gaps(filters)).toEqual(expected);
  });
});
