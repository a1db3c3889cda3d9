/**
 * The same picture gives the same PNG, byte for byte: alone, among others, in tiles and whole, by one worker and by four. On the
 * real models: a minute for each network.
 */
import type { ModelServer } from '../../../src/domain/ports.js';
import type { Raster } from '../../../src/domain/raster.js';
import { encode } from '../../../src/pipeline/encode.js';
import { FORMATS } from '../../../src/pipeline/formats/index.js';
import { seeded } from '../random.js';
import { type Benchmark, type Figure, figure } from './result.js';
import { corner, EXACT, type Scheduled, scenery, type Tiled, workerOf } from './stitch.js';
import { forTiledVersions } from './tiled.js';

const PICTURES = 50;
const COMPANIONS = 30;
/** Pictures of a burst, beside the companions. */
const TOGETHER = 10;
const WORKERS = [1, 4];

/** One figure for each version whose answers are exact: how many results differ from the picture alone. */
export const same: Benchmark = (asked) =>
  forTiledVersions(asked, figureOf, ({ contract }) => contract.seamTolerance <= EXACT);

async function figureOf(models: ModelServer, tiled: Tiled, name: string): Promise<Figure> {
  const next = seeded(20_261_127);
  const scene = await scenery({ width: 1024, height: 1024 });
  const made = Array.from({ length: PICTURES + COMPANIONS }, () => pictureOf(scene, next));
  const [pictures, companions] = [made.slice(0, PICTURES), made.slice(PICTURES)];
  const single = workerOf(models, tiled);
  const alone: Buffer[] = [];
  for (const picture of pictures) alone.push(await pngOf(single, picture));
  const found = { bursts: 0, tiled: 0, whole: 0 };
  let compared = 0;
  const differs = (i: number, png: Buffer): number => {
    compared++;
    return alone[i]?.equals(png) ? 0 : 1;
  };
  for (const [i, picture] of pictures.entries()) {
    found.tiled += differs(i, await pngOf(single, picture, ['tile']));
    found.whole += differs(i, await pngOf(single, picture, ['whole']));
  }
  for (const count of WORKERS) {
    const workers = Array.from({ length: count }, () => workerOf(models, tiled));
    const send = (picture: Raster, i: number) => pngOf(workers[i % count] ?? single, picture);
    for (let from = 0; from < PICTURES; from += TOGETHER) {
      const others = companions.map(send);
      const results = await Promise.all(pictures.slice(from, from + TOGETHER).map(send));
      await Promise.all(others);
      results.forEach((png, i) => (found.bursts += differs(from + i, png)));
    }
  }
  const different = found.bursts + found.tiled + found.whole;
  return figure(`same.${name}`, different, '<=', 0, { pictures: PICTURES, companions: COMPANIONS, compared, found });
}

/** From 24 to 170 pixels a side. */
function pictureOf(scene: Raster, next: () => number): Raster {
  const side = () => 24 + Math.floor(next() * 147);
  return corner(
    { ...scene, rgb: scene.rgb.subarray(Math.floor(next() * 200_000) * 3) },
    { width: side(), height: side() },
  );
}

async function pngOf(run: Scheduled, picture: Raster, plans?: readonly ('tile' | 'whole')[]): Promise<Buffer> {
  const { raster } = await run({ ...picture, rgb: Buffer.from(picture.rgb) }, plans);
  const { width, height, rgb } = raster;
  const pixels = { width, height, channels: 3 as const, data: rgb };
  return (await encode(pixels, { format: FORMATS.png, size: { width, height } })).bytes;
}
