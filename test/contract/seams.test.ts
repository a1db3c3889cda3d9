/**
 * No seams: what the worker stitches equals what the model makes of the whole picture at once. The contracts are those
 * that Triton serves, so another version or tile size of these models is tried without a line here.
 */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import {
  apart,
  bare,
  corner,
  EXACT,
  scenery,
  stitched,
  type Tiled,
  workerOf,
  tiledVersions,
  whole as inOneRequest,
} from '../../scripts/lab/bench/stitch.js';
import { connectTriton } from '../../src/adapters/triton/server.js';
import type { VersionContract } from '../../src/domain/contract.js';
import type { Raster, Size } from '../../src/domain/raster.js';
import { borderOf } from '../../src/pipeline/plans/window.js';
import { keepAnswers } from '../support/answers.js';

const OURS = ['enhance', 'style_aged', 'style_comic', 'upscale'];
const LIMIT_MS = 300_000;

const models = connectTriton({ url: inject('stack').env.TRITON_URL, inferTimeoutMs: LIMIT_MS });
const patient = new AbortController().signal;
await models.refresh(patient);
/** All pictures are corners of one scene, so many of their tiles are the same. */
const kept = keepAnswers(models);
const versions = tiledVersions(models)
  .filter(({ model }) => OURS.includes(model.model))
  .map((tiled) => ({ ...tiled, name: `${tiled.model.model}/${tiled.version}` }));
const exact = versions.filter(({ contract }) => contract.seamTolerance <= EXACT);
const tolerant = versions.filter(({ contract }) => contract.seamTolerance > EXACT);

let scene: Raster;
beforeAll(async () => {
  scene = await scenery({ width: 1024, height: 1024 });
});
afterAll(() => models.close());

/** How far the stitched picture of a size is from the whole one, in levels of 255. */
async function difference(tiled: Tiled, side: number, size: Size, whole: Tiled = tiled): Promise<number> {
  const picture = corner(scene, size);
  const expected = await inOneRequest(kept, whole, picture);
  return apart(await stitched(kept, tiled, side, picture), expected).largest;
}

const sizes = (...list: [number, number][]) => list.map(([width, height]) => ({ width, height }));

/** What one tile can cover: a window ends a border beyond the picture. */
const one = (side: number, contract: VersionContract) => side - borderOf(contract);

/** What two tiles can cover: their cores meet exactly a margin away from their edges, so no pixel of it is spare. */
const two = (side: number, contract: VersionContract) => 2 * (side - contract.margin) - borderOf(contract);

/** Some have neighbours on all sides. */
const largest = (side: number): [number, number] => [Math.round(2.6 * side), 2 * side - 6];

/** From exactly a tile and one pixel more to the joints of two tiles and three. */
const sizesFrom = (side: number, contract: VersionContract) => {
  const [single, double] = [one(side, contract), two(side, contract)];
  return sizes([single, single], [single + 1, single + 1], [double, side / 4], [side / 4, double + 1]);
};

/** With other remainders. Where tiles lie depends on no model, so the smallest tiles of each are enough. */
const moreSizes = (side: number, contract: VersionContract) => {
  const single = one(side, contract);
  return sizes([single + 1, single], [single, single + 1], [side + 7, side + 61], largest(side));
};

/** Smaller than a tile in one direction or both: these are grown, and their answers are cropped. */
const sizesBelow = (side: number) => sizes([1, 1], [side - 30, side + 30]);
const moreBelow = (side: number, contract: VersionContract) => {
  const single = one(side, contract);
  return sizes([1, side + 9], [side + 9, 1], [single - 1, single - 1]);
};

it('tries every model that may be tiled', () => {
  expect(exact.map(({ name }) => name).sort()).toEqual(['enhance/1', 'style_aged/1', 'style_comic/1', 'upscale/1']);
  expect(tolerant.map(({ name }) => name)).toEqual(['upscale/2']);
});

/** As an engine of fixed shapes would have it: tiles are squares, whatever the picture. */
const inSquares = (tiled: Tiled): Tiled => ({ ...tiled, contract: { ...tiled.contract, plans: ['tile'] } });

describe.each(exact)('$name', (tiled) => {
  const { contract } = tiled;
  const { tileSizes } = contract;
  const [side = 0] = tileSizes;
  afterAll(() => kept.forget());

  describe.each(tileSizes)('in tiles of %i', (side) => {
    const isSmallest = side === Math.min(...tileSizes);

    it.each([...sizesFrom(side, contract), ...(isSmallest ? moreSizes(side, contract) : [])])(
      '$width x $height',
      async (size) => expect(await difference(inSquares(tiled), side, size)).toBe(0),
      LIMIT_MS,
    );

    it.each([...sizesBelow(side), ...(isSmallest ? moreBelow(side, contract) : [])])(
      '$width x $height, grown and cropped',
      async (size) => expect(await difference(inSquares(tiled), side, size)).toBe(0),
      LIMIT_MS,
    );
  });

  it.each(sizes([side + 1, side - 1], [2 * side + 45, side + 3], largest(side)))(
    'shows none in tiles that are made to measure for $width x $height',
    async (size) => expect(await difference(tiled, side, size)).toBe(0),
    LIMIT_MS,
  );

  it.each(sizes([0, 1], [40, 21], [3, 90]))(
    'changes no byte when a picture is padded by $width x $height',
    async (more) => {
      const picture = corner(scene, { width: 150, height: 110 });
      const whole = await inOneRequest(kept, tiled, picture);
      expect(apart(await inOneRequest(kept, tiled, picture, more), whole).largest).toBe(0);
    },
  );

  it('would show seams without its margin', async () => {
    const careless = inSquares({ ...tiled, contract: { ...tiled.contract, margin: 0 } });
    const size = { width: 2 * side, height: side };
    expect(await difference(careless, side, size, tiled)).toBeGreaterThan(EXACT);
  });

  it('runs eight pictures at once in fewer executions, and answers each as if it were alone', async () => {
    const { model, version } = tiled;
    const executions = async () => {
      const counted = (await models.statistics(model.model, patient)).find((one) => one.version === version);
      return counted?.batches.reduce((sum, batch) => sum + batch.executions, 0) ?? 0;
    };
    const pictures = Array.from({ length: 8 }, (_, i) =>
      corner({ ...scene, rgb: scene.rgb.subarray(i * 3000) }, { width: side / 2, height: side / 2 }),
    );
    const infer = (picture: Raster) => bare(models, { model, version, contract }, picture);
    const alone: Buffer[] = [];
    for (const picture of pictures) alone.push(await infer(picture));
    const before = await executions();
    const together = await Promise.all(pictures.map(infer));
    // Triton counts a little after it has answered.
    await expect.poll(executions).toBeGreaterThan(before);
    expect((await executions()) - before).toBeLessThan(8);
    together.forEach((answer, i) => expect(answer.equals(alone[i] ?? Buffer.alloc(0))).toBe(true));
  });

  it.runIf(tiled.model.takesOrigin)('would show seams if its tiles did not know where they lie', async () => {
    const lost = inSquares({ ...tiled, model: { ...tiled.model, takesOrigin: false } });
    const size = { width: two(side, tiled.contract), height: side };
    expect(await difference(lost, side, size, tiled)).toBeGreaterThan(EXACT);
  });
});

describe.each(exact)('$name', (tiled) => {
  const targets = sizes([97, 40], [48, 99], [150, 60]);
  const companions = sizes([40, 40], [99, 44], [91, 60], [130, 50], [50, 131], [30, 120], [110, 110]);

  it(
    'gives a picture the same bytes alone, in bursts of others, in tiles, and by several workers',
    async () => {
      const pictureOf = (size: Size, i: number) => corner({ ...scene, rgb: scene.rgb.subarray(i * 4_000) }, size);
      const pictures = targets.map(pictureOf);
      const single = workerOf(models, tiled);
      const alone: Buffer[] = [];
      for (const picture of pictures) alone.push((await single(picture)).raster.rgb);
      const border = borderOf(tiled.contract);
      const padded: boolean[] = [];
      for (const burst of [companions.slice(0, 3), companions]) {
        const workers = [workerOf(models, tiled), workerOf(models, tiled)];
        const others = burst.map((size, i) => (workers[i % 2] ?? expect.fail())(pictureOf(size, 9 + i)));
        const done = await Promise.all(pictures.map((picture, i) => (workers[i % 2] ?? expect.fail())(picture)));
        await Promise.all(others);
        done.forEach(({ raster, work }, i) => {
          expect(raster.rgb.equals(alone[i] ?? Buffer.alloc(0))).toBe(true);
          const { width = 0, height = 0 } = targets[i] ?? {};
          padded.push(work.computed > (width + border) * (height + border) * 1.2);
        });
      }
      // Some of them went in a window of others.
      expect(padded).toContain(true);
      for (const [i, picture] of pictures.entries()) {
        expect((await single(picture, ['tile'])).raster.rgb.equals(alone[i] ?? Buffer.alloc(0))).toBe(true);
      }
    },
    LIMIT_MS,
  );
});

describe.each(tolerant)('$name', (tiled) => {
  // Where a joint lies as near to the tiles' edges as it ever does: other widths leave more than the margin. Low, for
  // this network takes seconds for each tile; squares and larger pictures are the benchmark's (`npm run bench -- seams`).
  it.each(tiled.contract.tileSizes)(
    'stays within its tolerance where two tiles of %i meet',
    async (side) => {
      const size = { width: two(side, tiled.contract), height: tiled.contract.margin };
      expect(await difference(tiled, side, size)).toBeLessThanOrEqual(tiled.contract.seamTolerance);
    },
    LIMIT_MS,
  );
});
