/** A model that this repository has never heard of: a directory with a contract is all that it takes. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
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

const CONFIG = `
name: "negative"
backend: "python"
max_batch_size: 4
input [ { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } ]
output [ { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } ]
dynamic_batching {}
parameters { key: "imagen.plans" value { string_value: '["tile"]' } }
parameters { key: "imagen.tile_sizes" value { string_value: "[32, 64]" } }
parameters { key: "imagen.margin" value { string_value: "3" } }
`;
const MODEL = `
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        images = [pb_utils.get_input_tensor_by_name(request, "image").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("image", 255 - image)]) for image in images]
`;

it('serves a model whose directory was added while Triton ran', async () => {
  const [input, output] = [join(folder, 'in.png'), join(folder, 'out.png')];
  const picture = { create: { width: 150, height: 70, channels: 3, background: '#102030' } } as const;
  await sharp(picture).png().toFile(input);
  const env = { ...process.env, TRITON_URL: server.url, IMAGEN_ROUTES_FILE: '' };
  const run = () => runProgram(process.execPath, [CLI, 'process', input, '--operation', 'negative', '-o', output], env);

  const before = await run();
  expect(before.code, before.stderr).not.toBe(0);
  expect(before.stderr).toContain('UNKNOWN_MODEL');

  await mkdir(join(server.models, 'negative/1'), { recursive: true });
  await writeFile(join(server.models, 'negative/config.pbtxt'), CONFIG);
  await writeFile(join(server.models, 'negative/1/model.py'), MODEL);
  expect(await server.load('negative')).toBe(true);

  const after = await run();
  expect(after, after.stderr).toMatchObject({ code: 0 });
  expect(after.stderr).toContain('negative@1 (tile,');
  const { data, info } = await sharp(output).raw().toBuffer({ resolveWithObject: true });
  expect([info.width, info.height]).toEqual([150, 70]);
  for (let i = 0; i < data.length; i += 3) expect([...data.subarray(i, i + 3)]).toEqual([239, 223, 207]);
});
