import { describe, expect, it } from 'vitest';
import { parseFilter } from '../../../scripts/dev/pubsub/filter.js';
import { shareOut } from '../../../src/adapters/pubsub/filters.js';

const messages = {
  none: {},
  upscale: { model: 'upscale' },
  comic: { model: 'style_comic', priority: 'batch' },
  odd: { 'a b/c': 'say "x\\"', NOT: 'v', 'ce-type': 'dev.foo' },
};

/** The names of the messages that pass. */
const passing = (filter: string) => {
  const matches = parseFilter(filter);
  return Object.entries(messages).flatMap(([name, attributes]) => (matches(attributes) ? [name] : []));
};

describe("a subscription's filter", () => {
  it.each([
    ['', ['none', 'upscale', 'comic', 'odd']],
    ['attributes:model', ['upscale', 'comic']],
    ['attributes:toString', []],
    ['attributes.model = "upscale"', ['upscale']],
    ['attributes.model="upscale"', ['upscale']],
    ['attributes.model != "upscale"', ['comic']],
    ['NOT attributes.model = "upscale"', ['none', 'comic', 'odd']],
    ['NOT NOT attributes:model', ['upscale', 'comic']],
    ['hasPrefix(attributes.model, "style_")', ['comic']],
    ['hasPrefix ( attributes.model , "" )', ['upscale', 'comic']],
    ['attributes:model AND attributes:priority', ['comic']],
    ['attributes:priority OR attributes.model = "upscale"', ['upscale', 'comic']],
    ['NOT attributes:priority AND NOT attributes:NOT', ['none', 'upscale']],
    ['attributes:model AND (attributes:priority OR attributes:NOT)', ['comic']],
    ['(attributes:model AND attributes:priority) OR attributes:NOT', ['comic', 'odd']],
    ['NOT (attributes:model OR attributes:NOT)', ['none']],
    ['attributes."a b/c" = "say \\"x\\\\\\""', ['odd']],
    ['attributes:"a b/c" AND hasPrefix(attributes."a b/c", "say \\"x")', ['odd']],
    ['attributes.ce-type = "dev.foo"', ['odd']],
  ])('%s', (filter, names) => {
    expect(passing(filter)).toEqual(names);
  });

  it.each([
    ['model = "upscale"', "expected 'attributes' instead of 'model'"],
    ['attributes.model = upscale', "a string in double quotes instead of 'upscale'"],
    ["attributes.model = 'upscale'", "cannot read ''upscale''"],
    ['attributes.model', "expected '=' instead of its end"],
    ['attributes.model < "a"', 'cannot read \'< "a"\''],
    ['attributes:', "an attribute's key instead of its end"],
    ['attributes:model AND', "expected 'attributes' instead of its end"],
    ['attributes:a and attributes:b', "did not expect 'and'"],
    ['attributes:a AND attributes:b OR attributes:c', "did not expect 'OR'"],
    ['attributes:a OR attributes:b AND attributes:c', "did not expect 'AND'"],
    ['(attributes:a', "expected ')' instead of its end"],
    ['attributes:a)', "did not expect ')'"],
    ['hasPrefix(attributes:a, "x")', "expected '.' instead of ':'"],
    ['hasSuffix(attributes.a, "x")', "expected 'attributes' instead of 'hasSuffix'"],
    ['attributes.a = "unclosed', 'cannot read'],
    [`attributes.a = "${'x'.repeat(250)}"`, 'more than 256 bytes'],
  ])('is refused: %s', (filter, why) => {
    expect(() => parseFilter(filter)).toThrow(why);
  });

  it('shares every message out to exactly one of the subscriptions that imagen makes', () => {
    const shares = shareOut({ models: ['upscale', 'style_comic'], byPriority: true }).map(({ filter }) => filter);
    for (const name of Object.keys(messages)) {
      expect(shares.filter((filter) => passing(filter).includes(name))).toHaveLength(1);
    }
  });
});
