/** This machine: the versions of the programs, and their threads. */
import { availableParallelism } from 'node:os';
import sharp from 'sharp';
import { packageVersion } from '../../config/version.js';
import { loadTurboJpeg } from '../../pipeline/jpeg/turbo.js';
import { codecSlots } from '../../scheduling/codecs.js';
import { check, fault, ok, warning } from './check.js';

/** As `engines` of package.json. */
export const LEAST_NODE = [20, 9] as const;

export const versions = check({
  name: 'machine.versions',
  reads: [],
  run() {
    const shown = `imagen ${packageVersion()}, Node ${process.versions.node}, sharp ${sharp.versions.sharp}, libvips ${sharp.versions.vips}`;
    const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
    const [leastMajor, leastMinor] = LEAST_NODE;
    if (major > leastMajor || (major === leastMajor && minor >= leastMinor)) return [ok(shown)];
    return [fault(`${shown}: Node is too old`, `install Node ${LEAST_NODE.join('.')} or newer`)];
  },
});

export const jpegs = check({
  name: 'machine.jpegs',
  reads: ['jpegCodec'],
  run({ jpegCodec }) {
    if (jpegCodec === 'sharp') return [ok('sharp decodes and encodes all JPEGs, because IMAGEN_JPEG_CODEC says so')];
    const found = loadTurboJpeg();
    if ('turbo' in found) return [ok('libjpeg-turbo decodes and encodes ordinary JPEGs')];
    return [
      warning(
        `sharp decodes and encodes all JPEGs, which takes up to three times the processor time: ${found.missing}`,
        "install libjpeg-turbo's library (Debian: libturbojpeg0), run npm ci on this machine if it is koffi that is missing, or set IMAGEN_JPEG_CODEC to sharp",
      ),
    ];
  },
});

export const threads = check({
  name: 'machine.threads',
  reads: ['poolThreads'],
  run({ poolThreads }) {
    const processors = availableParallelism();
    const wanted = threadsFor(processors);
    const slots = codecSlots(poolThreads, processors);
    const shown = `${poolThreads} threads for ${processors} processors: ${slots} pictures are decoded or encoded at once`;
    if (poolThreads >= wanted) return [ok(shown)];
    return [
      warning(`${shown}, which leaves processors idle`, `set UV_THREADPOOL_SIZE to ${wanted} where the worker starts`),
    ];
  },
});

/** The least number of threads with which decoders and encoders can use every processor: see `codecSlots`. */
export function threadsFor(processors: number): number {
  return 2 * (processors + 1);
}
