/** A model that this repository has never heard of: a directory with a contract is all that it takes. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { OwnTriton } from '../support/own-triton.js';
import { runProgram } from '../support/program.js';

const CLI = new URL('../../dist/main.js', import.meta.url).pathname;
const server = new OwnTriton('new-model');
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imagen-new-model-'));
  await server.start();
});
afterAll(async () => {
  await server.down();
  await rm(folder, { recursive: true, force: true });
});

it('serves a model whose directory was added while Triton ran', async () => {
  const [input, output] = [join(folder, 'in.png'), join(folder, 'out.png')];
  const picture = { create: { width: 150, height: 70, channels: 3, background: '#102030' } } as const;
  await sharp(picture).png().toFile(input);
  const env = { ...process.env, TRITON_URL: server.url, IMAGEN_ROUTES_FILE: '' };
  const run = () => runProgram(process.execPath, [CLI, 'process', input, '--operation', 'negative', '-o', output], env);

  const before = await run();
  expect(before.code, before.stderr).not.toBe(0);
  expect(before.stderr).toContain('UNKNOWN_MODEL');

  const made = await runProgram(process.execPath, [CLI, 'models', 'new', 'negative', '--into', folder], env);
  expect(made, made.stderr).toMatchObject({ code: 0 });
  const checked = await runProgram(process.execPath, [CLI, 'models', 'check', join(folder, 'negative')], env);
  expect(checked, checked.stderr + checked.stdout).toMatchObject({ code: 0 });
  const again = await runProgram(process.execPath, [CLI, 'models', 'new', 'negative', '--into', folder], env);
  expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('not there yet') as string });
  await cp(join(folder, 'negative'), join(server.models, 'negative'), { recursive: true });
  expect(await server.load('negative')).toBe(true);

  const after = await run();
  expect(after, after.stderr).toMatchObject({ code: 0 });
  expect(after.stderr).toContain('negative@1 (');
  const { data, info } = await sharp(output).raw().toBuffer({ resolveWithObject: true });
  expect([info.width, info.height]).toEqual([150, 70]);
  for (let i = 0; i < data.length; i += 3) expect([...data.subarray(i, i + 3)]).toEqual([239, 223, 207]);
});
