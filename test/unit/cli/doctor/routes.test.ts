import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CHECKS } from '../../../../src/cli/doctor/checks.js';
import { Deployment } from '../../../../src/cli/doctor/deployment.js';
import { examine } from '../../../../src/cli/doctor/examine.js';

let folder: string;
let path: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imagen-doctor-'));
  path = join(folder, 'routes.json');
  const shadow = { version: '2', share: 0.2 };
  await writeFile(path, JSON.stringify({ models: { upscale: { default: '1', shadow } } }));
});
afterAll(() => rm(folder, { recursive: true }));

async function look(env: NodeJS.ProcessEnv) {
  const deployment = new Deployment({ IMAGEN_ROUTES_FILE: path, ...env });
  try {
    return await examine(
      CHECKS.filter(({ name }) => name === 'routes.file'),
      deployment,
    );
  } finally {
    deployment.close();
  }
}

it('finds a shadow in the routes that has no place for its pictures', async () => {
  expect(await look({})).toMatchObject([
    {
      verdict: 'fault',
      message: expect.stringMatching(
        /workers refuse .* a shadow of upscale, and IMAGEN_SHADOW_PREFIX is not set/,
      ) as string,
      cure: expect.stringContaining('imagen shadow stop') as string,
    },
  ]);
  expect(await look({ IMAGEN_SHADOW_PREFIX: 'gs://shadows' })).toMatchObject([{ verdict: 'ok' }]);
});
