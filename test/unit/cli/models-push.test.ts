/** What a push into a folder refuses for the sake of the versions that are there. */
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readModelDirectory } from '../../../src/cli/models/directory.js';
import { manifestOf } from '../../../src/cli/models/manifest.js';
import type { Parcel } from '../../../src/cli/models/push-rules.js';
import { openRepository } from '../../../src/cli/models/repository.js';
import { codeOf, configOf, contentsOf, NEGATE, writeModel } from '../../support/model-folders.js';

let root: string;
let repository: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'imagen-models-push-'));
  repository = join(root, 'repository');
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function parcelOf(config: string, version: string): Promise<Parcel> {
  const folder = await writeModel(join(root, version), 'negative', config, { [`${version}/model.py`]: codeOf(NEGATE) });
  const { model, versions, shared } = await readModelDirectory(folder);
  const files = versions.get(version) ?? [];
  return {
    model,
    version,
    config,
    files,
    shared,
    manifest: await manifestOf({ model, version, config }, files, undefined),
  };
}

async function push(config: string, version: string): Promise<string> {
  const outcome = await (await openRepository(repository, undefined)).push(await parcelOf(config, version), false);
  return outcome.outcome === 'refused' ? outcome.reason : outcome.outcome;
}

const stored = (policy: string, more = '') =>
  writeModel(repository, 'negative', configOf('negative', policy, more), { '1/model.py': codeOf(NEGATE) });

const ORIGIN = 'input { name: "origin" data_type: TYPE_INT32 dims: [ 4 ] optional: true }';
const IMAGE = 'output [ { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } ]';
const MASK = 'output [ { name: "mask" data_type: TYPE_UINT8 dims: [ -1, -1, 1 ] } ]';

describe('a configuration that comes with another version', () => {
  it.each([
    ['all {}', 'specific { versions: [ 2 ] }'],
    ['all {}', 'latest { num_versions: 1 }'],
    ['specific { versions: [ 1 ] }', 'specific { versions: [ 2 ] }'],
    ['latest { num_versions: 2 }', 'latest { num_versions: 1 }'],
  ])('is refused if it takes a version out of service: %s, then %s', async (before, after) => {
    await stored(before);
    const contents = await contentsOf(repository);
    expect(await push(configOf('negative', after), '2')).toContain('takes version 1 out of service');
    expect(await contentsOf(repository)).toEqual(contents);
  });

  it.each([
    ['output', (config: string) => config.replace(IMAGE, MASK)],
    ['input origin', (config: string) => config.replace(ORIGIN, '')],
    ['default_model_filename', (config: string) => `${config}\ndefault_model_filename: "other.py"`],
    ['backend', (config: string) => config.replace('backend: "python"', 'backend: "onnxruntime"')],
  ])('is refused if it changes what all versions share: %s', async (field, change) => {
    await stored('all {}', ORIGIN);
    expect(await push(change(configOf('negative', 'all {}', ORIGIN)), '2')).toContain(
      `changes ${field}, which version 1`,
    );
  });

  it('is taken if the others are served as before', async () => {
    await stored('specific { versions: [ 1 ] }');
    expect(await push(configOf('negative', 'all {}', ORIGIN), '2')).toBe('pushed');
    await rm(join(repository, 'negative', '1'), { recursive: true });
    expect(await push(configOf('negative', 'specific { versions: [ 2, 3 ] }', ORIGIN), '3')).toBe('pushed');
  });

  it('may leave out what the policy that is there leaves out', async () => {
    await stored('latest { num_versions: 1 }');
    expect(await push(configOf('negative', 'latest { num_versions: 1 }', ORIGIN), '2')).toBe('pushed');
  });
});

it('tells of a file in the place of its own folder as of any error of the file system', async () => {
  await stored('all {}');
  await writeFile(join(repository, '.imagen-push'), '');
  await expect(push(configOf('negative', 'all {}'), '2')).rejects.toMatchObject({ syscall: 'mkdir' });
});

it('says of a lock when its holder counts as dead', async () => {
  await stored('all {}');
  await mkdir(join(repository, '.imagen-push'));
  const owner = { id: 'x', host: 'another', pid: 1, by: 'bob@another' };
  await writeFile(join(repository, '.imagen-push', 'negative.lock'), JSON.stringify(owner));
  expect(await push(configOf('negative', 'all {}'), '2')).toMatch(/by bob@another: .* if it was killed, in a minute$/);
});

it('refuses a repository without a name', async () => {
  await expect(openRepository('', undefined)).rejects.toThrow('--repository');
});

it('refuses a file that has changed since its checksum was taken', async () => {
  await stored('all {}');
  const parcel = await parcelOf(configOf('negative', 'all {}'), '2');
  await writeFile(parcel.files[0]?.place ?? '', codeOf('254 - image'));
  await cp(repository, join(root, 'before'), { recursive: true });
  const outcome = await (await openRepository(repository, undefined)).push(parcel, false);
  expect(outcome).toEqual({ outcome: 'refused', reason: 'model.py has changed during the push: try again' });
  expect(await contentsOf(repository)).toEqual(await contentsOf(join(root, 'before')));
});
