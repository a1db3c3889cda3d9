/** `triton/entrypoint.sh serve`: which folders of models it takes. */
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { runProgram } from '../../support/program.js';

const entrypoint = fileURLToPath(new URL('../../../triton/entrypoint.sh', import.meta.url));
let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'imagen-serve-'));
  for (const folder of ['full/upscale', 'full/lost+found', 'empty', 'bin'])
    await mkdir(join(dir, folder), { recursive: true });
  await writeFile(join(dir, 'full/upscale/config.pbtxt'), 'name: "upscale"\n');
  await writeFile(join(dir, 'bin/tritonserver'), '#!/bin/sh\nprintf "%s\\n" "$@"\n');
  await chmod(join(dir, 'bin/tritonserver'), 0o755);
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const serve = (...folders: string[]) =>
  runProgram('sh', [entrypoint, 'serve'], {
    PATH: `${join(dir, 'bin')}:${process.env.PATH ?? ''}`,
    MODEL_REPOSITORY: folders.map((folder) => join(dir, folder)).join(':'),
    TRITON_WATCHDOG: 'off',
  });

it('takes a folder whose models come later, beside one that has some', async () => {
  for (const folders of [
    ['full', 'empty'],
    ['empty', 'full'],
  ]) {
    const { code, stdout, stderr } = await serve(...folders);
    expect(code, stderr).toBe(0);
    const options = stdout.split('\n');
    expect(options.filter((option) => option.startsWith('--model-repository'))).toEqual(
      folders.map((folder) => `--model-repository=${join(dir, folder)}`),
    );
    expect(options.filter((option) => option.startsWith('--load-model'))).toEqual(['--load-model=upscale']);
  }
});

it.each([[['empty']], [['empty', 'empty']], [['nowhere']], [['full', 'nowhere']]])(
  'refuses %j: a volume that is not mounted looks like that',
  async (folders) => {
    const { code, stdout, stderr } = await serve(...folders);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain(
      `MODEL_REPOSITORY: expected a folder of models, given '${join(dir, folders.at(-1) ?? '')}'`,
    );
  },
);
