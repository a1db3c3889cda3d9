/**
 * Seams at the size of real photographs, on the real models: minutes, and gigabytes. The tests try many small sizes.
 */
import type { ModelServer } from '../../../src/domain/ports.js';
import type { Size } from '../../../src/domain/raster.js';
import { type Benchmark, type Figure, figure, round } from './result.js';
import { apart, EXACT, scenery, stitched, type Tiled, whole as wholeOf } from './stitch.js';
import { forTiledVersions } from './tiled.js';

const PHOTOGRAPH = { width: 2000, height: 1500 };
/** For versions that declare a tolerance above the default: these take minutes for a quarter of a megapixel. */
const TOLERANT = { width: 512, height: 512 };

/** One figure for each version and tile size: the largest difference as a part of what is tolerated. */
export const seams: Benchmark = (asked) => forTiledVersions(asked, figuresOf);

async function figuresOf(models: ModelServer, tiled: Tiled, name: string): Promise<Figure[]> {
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
