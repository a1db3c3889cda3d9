/**
 * Seams at the size of real photographs, on the real models: minutes, and gigabytes. The tests try many small sizes.
 */
import { connectTriton } from '../../../src/adapters/triton/server.js';
import type { Size } from '../../../src/domain/raster.js';
import { withStack } from './harness.js';
import { type Benchmark, type Figure, figure, figuresFor, round } from './result.js';
import { apart, EXACT, scenery, stitched, type Tiled, tiledVersions, whole as wholeOf } from './stitch.js';

const PHOTOGRAPH = { width: 2000, height: 1500 };
/** For versions that declare a tolerance above the default: these take minutes for a quarter of a megapixel. */
const TOLERANT = { width: 512, height: 512 };
const LIMIT_MS = 1_800_000;

/** One figure for each version and tile size: the largest difference as a part of what is tolerated. */
export const seams: Benchmark = (asked) =>
  withStack(['triton'], asked.progress, async ({ TRITON_URL: url }) => {
    const models = connectTriton({ url, inferTimeoutMs: LIMIT_MS });
    try {
      await models.refresh(new AbortController().signal);
      const cases = tiledVersions(models).map((tiled) => ({ name: `${tiled.model.model}.${tiled.version}`, tiled }));
      return await figuresFor(cases, asked, ({ name, tiled }) => figuresOf(models, tiled, name));
    } finally {
      await models.close();
    }
  });

async function figuresOf(models: ReturnType<typeof connectTriton>, tiled: Tiled, name: string): Promise<Figure[]> {
  const tolerance = Math.max(EXACT, tiled.contract.seamTolerance);
  const size: Size = tolerance > EXACT ? TOLERANT : PHOTOGRAPH;
  const picture = await scenery(size, 'astronaut');
  const whole = await wholeOf(models, tiled, picture);
  const figures: Figure[] = [];
  for (const side of tiled.contract.tileSizes) {
    const { largest, mean } = apart(await stitched(models, tiled, side, picture), whole);
    const levels = { largest, mean: round(mean), tolerance };
    const detail = {
      computed: 'on the CPU',
      size: `${size.width}x${size.height}`,
      margin: tiled.contract.margin,
      levels,
    };
    figures.push(figure(`seams.${name}.${side}`, largest / tolerance, '<=', 1, detail));
  }
  return figures;
}
