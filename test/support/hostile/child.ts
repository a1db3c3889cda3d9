/**
 * A process that takes pictures in as the worker does (fetch, decode, and the way out with their metadata kept), so
 * that whoever started it sees it die or hang. It tells what became of each and what it cost.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import sharp from 'sharp';
import { JobError } from '../../../src/domain/errors.js';
import type { ObjectStore } from '../../../src/domain/ports.js';
import { decodeFile } from '../decode.js';
import { encode } from '../../../src/pipeline/encode.js';
import { fetchInput } from '../../../src/pipeline/fetch.js';
import { FORMATS } from '../../../src/pipeline/formats/index.js';

/** As the worker's, unless set (src/config/index.ts). */
const LIMITS = { maxPixels: 100_000_000, maxBytes: 64 * 1024 * 1024 };

export interface Question {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface Answer {
  /** `success`, or the code of the error. */
  readonly outcome: string;
  readonly message: string;
  readonly ms: number;
  /** By which the most that was ever resident grew. */
  readonly megabytes: number;
}

async function take({ name, bytes }: Question): Promise<Omit<Answer, 'ms' | 'megabytes'>> {
  const store = {
    read: (_ref: unknown, { maxBytes }: { maxBytes: number }) =>
      Promise.resolve(
        bytes.length > maxBytes
          ? { kind: 'too-large', bytes: bytes.length }
          : { kind: 'found', bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), generation: '1' },
      ),
  } as unknown as ObjectStore;
  try {
    const options = { allowedInputs: ['gs://in'], maxBytes: LIMITS.maxBytes };
    const input = await fetchInput({ uri: `gs://in/${name}` }, store, options, new AbortController().signal);
    const { raster, metadata } = await decodeFile(input.bytes, { maxPixels: LIMITS.maxPixels });
    const { width, height, rgb, alpha } = raster;
    const pixels = width * height;
    if (!(pixels > 0) || rgb.length !== pixels * 3 || (alpha && alpha.length !== pixels)) {
      return { outcome: 'WRONG_RASTER', message: `${width}x${height}, ${rgb.length} and ${alpha?.length} bytes` };
    }
    const picture = { width, height, channels: 3, data: rgb, ...(alpha ? { alpha } : {}) } as const;
    // What is kept of its metadata goes into every format, but IPTC into JPEG alone.
    const kept = { format: FORMATS[alpha ? 'png' : 'jpeg'], size: { width, height }, metadata };
    if (pixels < 1_000_000) await encode(picture, kept);
    return { outcome: 'success', message: `${width}x${height}` };
  } catch (thrown) {
    const { code, message } = JobError.from(thrown, 'decode');
    return { outcome: code, message };
  }
}

/** Linux counts the peak anew on request; elsewhere only its growth beyond all before can be seen. */
function forgetPeak(): void {
  if (process.platform === 'linux') writeFileSync('/proc/self/clear_refs', '5');
}
function peak(): number {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS / 1024;
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]) / 1024;
}

const warm = sharp({ create: { width: 64, height: 64, channels: 3, background: '#888' } });
for (const format of ['jpeg', 'png', 'webp', 'avif', 'tiff', 'gif'] as const) {
  await take({ name: 'warm', bytes: await warm.toFormat(format).toBuffer() });
}
process.on('message', (question: Question) => {
  forgetPeak();
  const [before, startedAt] = [peak(), performance.now()];
  void take(question).then((end) => {
    process.send?.({ ...end, ms: performance.now() - startedAt, megabytes: peak() - before } satisfies Answer);
  });
});
process.send?.('ready');
