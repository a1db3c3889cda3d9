import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { readConfigText } from '../../../src/adapters/triton/text-schema.js';
import { parseText, TextFormatError } from '../../../src/adapters/triton/text-format.js';

const root = new URL('../../../', import.meta.url).pathname;
const configs = ['triton/model_repository', 'test/fixtures/models']
  .flatMap((folder) => readdirSync(`${root}${folder}`).map((model) => `${root}${folder}/${model}/config.pbtxt`))
  .filter((file) => existsSync(file));
const blocks = [...readFileSync(`${root}triton/README.md`, 'utf8').matchAll(/```pbtxt\n([\s\S]*?)```/g)];

describe('readConfigText', () => {
  it.each(configs)('reads %s', (file) => {
    const { config, faults } = readConfigText(readFileSync(file, 'utf8'));
    expect(faults).toEqual([]);
    expect(config).toMatchObject({ name: file.split('/').at(-2) });
  });

  it('reads the configurations of triton/README.md', () => {
    expect(blocks.length).toBe(2);
    for (const [, text = ''] of blocks) expect(readConfigText(text).faults).toEqual([]);
  });

  it('reads every way to write a value', () => {
    const { config, faults } = readConfigText(`
      # a comment with { and "
      name: 'a' "b\\n\\x41\\101\\u00e9\\"" ; backend: "py"
      max_batch_size: 0x10,
      input < name: "image" data_type: 2 dims: [-1, - 1, 3] optional: true >
      input: { name: "origin" data_type: TYPE_INT32 dims: 1 dims: 2 }
      instance_group [ { kind: KIND_CPU count: 1 }, { gpus: [] } ]
      metric_tags { key: "a" value: "1" }
      dynamic_batching {}
    `);
    expect(faults).toEqual([]);
    expect(config).toMatchObject({
      ...{ name: 'ab\nAAé"', backend: 'py', maxBatchSize: 16, metricTags: { a: '1' } },
      input: [
        { name: 'image', dataType: 'TYPE_UINT8', dims: [-1, -1, 3], optional: true },
        { name: 'origin', dataType: 'TYPE_INT32', dims: [1, 2], optional: false },
      ],
      instanceGroup: [
        { kind: 'KIND_CPU', count: 1 },
        { kind: 'KIND_AUTO', gpus: [] },
      ],
      dynamicBatching: { maxQueueDelayMicroseconds: 0 },
    });
  });

  it.each([
    ['naem: "a"', 1, 'naem'],
    ['\n\ninput { nmae: "a" }', 3, 'input.nmae'],
    ['name: 3', 1, 'name'],
    ['max_batch_size: "8"', 1, 'max_batch_size'],
    ['max_batch_size: 08', 1, 'max_batch_size'],
    ['max_batch_size: 2147483648', 1, 'max_batch_size'],
    ['max_batch_size: 1.5', 1, 'max_batch_size'],
    ['max_batch_size { }', 1, 'max_batch_size'],
    ['max_batch_size: 1\nmax_batch_size: 2', 2, 'max_batch_size'],
    ['max_batch_size: [1, 2]', 1, 'max_batch_size'],
    ['input: "image"', 1, 'input'],
    ['input { data_type: UINT8 }', 1, 'input.data_type'],
    ['input { optional: yes }', 1, 'input.optional'],
    ['version_policy { all {}\nlatest {} }', 2, 'version_policy.latest'],
    ['dynamic_batching {}\nsequence_batching {}', 2, 'sequence_batching'],
    ['parameters { key: "a" }\nparameters { key: "a" }', 2, 'parameters'],
  ])('tells line and field of %j', (text, line, field) => {
    const { faults } = readConfigText(text);
    expect(faults.map((fault) => [fault.line, fault.field])).toEqual([[line, field]]);
  });

  it('tells all faults at once', () => {
    const { faults } = readConfigText('a: 1\nb { c: 2 }\nname: 1');
    expect(faults.map(({ line, field }) => [line, field])).toEqual([
      [1, 'a'],
      [2, 'b'],
      [3, 'name'],
    ]);
  });
});

describe('parseText', () => {
  it.each([
    ['name "a"', 1],
    ['name: ', 1],
    ['\ninput {', 2],
    ['input { name: "a" >', 1],
    ['input [ { }', 1],
    ['name: "a', 1],
    ['name: "\\q"', 1],
    ['name: "a" }', 1],
    ['name: "\\U00110000"', 1],
    ['1: 2', 1],
    ['ä: 2', 1],
    ['a {'.repeat(200), 1],
  ])('refuses %j', (text, line) => {
    expect(() => parseText(text)).toThrow(TextFormatError);
    expect(() => parseText(text)).toThrow(`line ${line}: expected `);
  });
});
