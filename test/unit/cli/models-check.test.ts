/** What `imagen models check` finds in a model's directory, without a server. */
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readModelDirectory } from '../../../src/cli/models/directory.js';
import { describeFault, examineDirectory } from '../../../src/cli/models/rules.js';

const CONFIG = `name: "negative"
backend: "python"
max_batch_size: 4
input [ { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } ]
output [ { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } ]
version_policy { specific { versions: [ 1, 2 ] } }
instance_group [ { kind: KIND_CPU count: 1 } ]
dynamic_batching { preferred_batch_size: [ 4 ] }
parameters { key: "imagen.plans" value { string_value: '["tile", "whole"]' } }
parameters { key: "imagen.tile_sizes" value { string_value: "[32, 64]" } }
parameters { key: "imagen.margin" value { string_value: "3" } }
`;

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'imagen-check-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function faultsOf(
  config: string | undefined,
  files: Record<string, string> = { '1/model.py': 'x', '2/model.py': 'x' },
) {
  const all = { ...files, ...(config === undefined ? {} : { 'config.pbtxt': config }) };
  for (const [path, text] of Object.entries(all)) {
    await mkdir(dirname(join(root, 'negative', path)), { recursive: true });
    await writeFile(join(root, 'negative', path), text);
  }
  return examineDirectory(await readModelDirectory(join(root, 'negative'))).faults.map(describeFault);
}

/** A replacement in the configuration, and the beginning of each fault that it makes. */
const FAULTY: readonly (readonly [from: string, to: string, ...faults: string[]])[] = [
  ['name: "negative"', 'name: "positive"', 'config.pbtxt: name: expected "negative"'],
  ['backend: "python"', '', 'config.pbtxt: backend: expected a backend'],
  ['backend: "python"', 'bakend: "python"', 'config.pbtxt:2: bakend: ', 'config.pbtxt: backend: '],
  [
    'max_batch_size: 4',
    'max_batch_size: -1',
    'config.pbtxt: max_batch_size: ',
    'config.pbtxt: dynamic_batching.preferred',
  ],
  [
    'max_batch_size: 4',
    'max_batch_size: four',
    'config.pbtxt:3: max_batch_size: ',
    'config.pbtxt: dynamic_batching.preferred',
  ],
  [
    'max_batch_size: 4',
    'max_batch_size: 2',
    'config.pbtxt: dynamic_batching.preferred_batch_size: expected sizes from 1 to',
  ],
  [
    'name: "image" data_type: TYPE_UINT8',
    'name: "image" data_type: TYPE_FP32',
    'config.pbtxt: input image: expected UINT8, given FP32',
  ],
  [
    'name: "image" data_type: TYPE_UINT8',
    'name: "picture" data_type: TYPE_UINT8',
    'config.pbtxt: input picture: ',
    'config.pbtxt: input image: ',
  ],
  [
    'input [ { name: "image" data_type: TYPE_UINT8',
    'input [ { name: "image"',
    'config.pbtxt: input image.data_type: ',
    'config.pbtxt: input image: expected UINT8',
  ],
  ['dims: [ -1, -1, 3 ]', 'dims: [ 3, -1, -1 ]', 'config.pbtxt: imagen.'],
  [
    'dims: [ -1, -1, 3 ]',
    'dims: [ 0, -1, 3 ]',
    'config.pbtxt: input image.dims: ',
    'config.pbtxt: imagen.tile_sizes: ',
    'config.pbtxt: imagen.plans: ',
  ],
  ['dims: [ -1, -1, 3 ]', 'dims: [ -1, -1, 4 ]', 'config.pbtxt: input image: expected dims [any, any, 3]'],
  ['dims: [ -1, -1, 3 ]', 'dims: [ 64, 64, 3 ]', 'config.pbtxt: imagen.tile_sizes: ', 'config.pbtxt: imagen.plans: '],
  ['output [ { name: "image"', 'output [ { name: "result"', 'config.pbtxt: output image: '],
  ['output [ { name: "image"', 'output [ { name: "mask"', 'config.pbtxt: output mask: expected dims [any, any, 1]'],
  ['versions: [ 1, 2 ]', 'versions: [ 1 ]', 'config.pbtxt: version_policy.specific.versions: expected 2 among them'],
  ['specific { versions: [ 1, 2 ] }', 'latest { }', 'config.pbtxt: version_policy.latest.num_versions: '],
  ['kind: KIND_CPU count: 1', 'kind: KIND_CPU count: 1 gpus: [ 0 ]', 'config.pbtxt: instance_group[0].gpus: '],
  ['kind: KIND_CPU count: 1', 'kind: KIND_CPU count: -1', 'config.pbtxt: instance_group[0].count: '],
  ['kind: KIND_CPU', 'kind: KIND_NPU', 'config.pbtxt:7: instance_group.kind: '],
  ['preferred_batch_size: [ 4 ]', 'priority_levels: 2', 'config.pbtxt: dynamic_batching.default_priority_level: '],
  ['dynamic_batching { preferred_batch_size: [ 4 ] }', 'sequence_batching { }', 'config.pbtxt: sequence_batching: '],
  [
    'dynamic_batching {',
    'model_transaction_policy { decoupled: true } dynamic_batching {',
    'config.pbtxt: model_transaction_policy.decoupled: ',
  ],
  ['imagen.plans', 'imagen.plan', 'config.pbtxt: imagen.plan: ', 'config.pbtxt: imagen.plans: '],
  ['["tile", "whole"]', '["tiles"]', 'config.pbtxt: imagen.plans: '],
  ['["tile", "whole"]', '["fit"]', 'config.pbtxt: imagen.fit_size: '],
  ['[32, 64]', '32', 'config.pbtxt: imagen.tile_sizes: '],
  ['[32, 64]', '[]', 'config.pbtxt: imagen.tile_sizes: expected at least one'],
  [
    'string_value: "3"',
    'string_value: "16"',
    'config.pbtxt: imagen.tile_sizes: expected sizes above twice the margin of 16',
  ],
  ['string_value: "3"', 'string_value: "three"', 'config.pbtxt: imagen.margin: '],
  [
    'string_value: "3"',
    'string_value: 3',
    'config.pbtxt:11: parameters.value.string_value: ',
    'config.pbtxt: imagen.margin: ',
  ],
  ['"imagen.margin"', '"imagen.v2.margins"', 'config.pbtxt: imagen.v2.margins: '],
  ['"imagen.margin"', '"imagen.tile_sizes"', 'config.pbtxt:11: parameters: ', 'config.pbtxt: imagen.tile_sizes: '],
  ['version_policy {', 'version_policy {{', 'config.pbtxt:6: expected '],
];

describe('imagen models check', () => {
  it('finds nothing in a model that is right', async () => expect(await faultsOf(CONFIG)).toEqual([]));

  it.each(FAULTY)('%j as %j', async (from, to, ...expected) => {
    expect(CONFIG).toContain(from);
    const faults = await faultsOf(CONFIG.replace(from, to));
    for (const one of expected)
      expect(
        faults.some((fault) => fault.startsWith(one)),
        faults.join('\n'),
      ).toBe(true);
    if (expected.every((one) => one !== 'config.pbtxt: imagen.')) expect(faults).toHaveLength(expected.length);
  });

  it.each<[string, Record<string, string>, RegExp]>([
    ['no version', {}, /^\.: expected the folder of a version/],
    [
      'a version without a model',
      { '1/weights.bin': 'x', '2/model.py': 'x' },
      /^1\/model\.py: expected what backend python/,
    ],
    ['an empty model', { '1/model.py': '', '2/model.py': 'x' }, /^1\/model\.py: expected content, given 0 bytes/],
    ['a version with a leading zero', { '01/model.py': 'x', '1/model.py': 'x' }, /^01\/: expected a version/],
    ['a copy of a version', { '1.bak/model.py': 'x', '1/model.py': 'x' }, /^1\.bak\/: expected a version/],
  ])('finds %s', async (_, files, expected) => {
    const faults = await faultsOf(CONFIG, files);
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatch(expected);
  });

  it('finds that there is no configuration', async () => {
    expect(await faultsOf(undefined)).toEqual(['config.pbtxt: expected a file, given none']);
  });

  it('tells all faults at once', async () => {
    const text = CONFIG.replace('negative', 'x')
      .replace('"3"', '"16"')
      .replace('[ 1, 2 ]', '[ 1 ]')
      .replace('count', 'cuont');
    expect(await faultsOf(text, { '1/model.py': 'x', '2/x': 'x' })).toHaveLength(5);
  });

  it('leaves out caches, hidden files and manifests', async () => {
    await faultsOf(CONFIG, {
      '1/model.py': 'x',
      '1/__pycache__/a.pyc': 'x',
      '1/.hidden': 'x',
      '1/imagen-manifest.json': '{}',
    });
    expect(await readdir(join(root, 'negative/1'))).toHaveLength(4);
    const { versions } = await readModelDirectory(join(root, 'negative'));
    expect(versions.get('1')?.map(({ path }) => path)).toEqual(['model.py']);
  });
});

describe('a directory with what cannot be pushed', () => {
  it('names links that lead back, links to nothing, and versions that are too large for Triton', async () => {
    await faultsOf(CONFIG);
    const folder = join(root, 'negative');
    await symlink('..', join(folder, '1', 'back'));
    await symlink('../..', join(folder, '1', 'further'));
    await symlink('/nowhere', join(folder, '2', 'nothing'));
    await mkdir(join(folder, '99999999999999999999'));
    const { unreadable, strangers } = await readModelDirectory(folder);
    expect(unreadable).toEqual(['1/back', '1/further', '2/nothing']);
    expect(strangers).toEqual(['99999999999999999999']);
  });

  it('says that the configuration is a folder', async () => {
    await mkdir(join(root, 'negative', 'config.pbtxt'), { recursive: true });
    await expect(readModelDirectory(join(root, 'negative'))).rejects.toThrow('expected a file that can be read');
  });
});
