/** Runs a benchmark on every version that permits tiles, of the real models. */
import { connectTriton } from '../../../src/adapters/triton/server.js';
import type { ModelServer } from '../../../src/domain/ports.js';
import { withStack } from './harness.js';
import { type Asked, type Figure, figuresFor } from './result.js';
import { type Tiled, tiledVersions } from './stitch.js';

/** Time limit for one inference, in milliseconds. On a CPU it may take minutes. */
const LIMIT_MS = 1_800_000;

/** @param isMeant chooses among the versions; by default all */
export const forTiledVersions = (
  asked: Asked,
  figuresOf: (models: ModelServer, tiled: Tiled, name: string) => Promise<Figure | readonly Figure[]>,
  isMeant: (tiled: Tiled) => boolean = () => true,
): Promise<Figure[]> =>
  withStack(['triton'], asked.progress, async ({ TRITON_URL: url }) => {
    const models = connectTriton({ url, inferTimeoutMs: LIMIT_MS });
    try {
      await models.refresh(new AbortController().signal);
      const versions = tiledVersions(models).filter(isMeant);
      const cases = versions.map((tiled) => ({ name: `${tiled.model.model}.${tiled.version}`, tiled }));
      return await figuresFor(cases, asked, ({ name, tiled }) => figuresOf(models, tiled, name));
    } finally {
      await models.close();
    }
  });
