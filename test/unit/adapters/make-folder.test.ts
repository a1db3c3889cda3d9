import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeFolder } from '../../../src/adapters/files/make-folder.js';

describe('makeFolder', () => {
  let dir: string;
  beforeAll(async () => (dir = await mkdtemp(join(tmpdir(), 'imagen-folder-'))));
  afterAll(() => rm(dir, { recursive: true }));

  it('creates all folders of a path, and takes those that are there', async () => {
    makeFolder(join(dir, 'a/b'));
    makeFolder(join(dir, 'a/b/c'));
    expect((await stat(join(dir, 'a/b/c'))).isDirectory()).toBe(true);
  });

  it('names the file that is in the way', async () => {
    await writeFile(join(dir, 'file'), '');
    expect(() => makeFolder(join(dir, 'file/c'))).toThrow(`${dir}/file: expected a folder, given a file`);
  });

  it('ends where no folder can be made, as under /proc', () => {
    expect(() => makeFolder('/proc/none/deeper')).toThrow('ENOENT');
  });
});
