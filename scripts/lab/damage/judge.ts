/** Decodes sound and damaged files as the worker does, and says where it is wrong. */
import { JobError } from '../../../src/domain/errors.js';
import { decode, type Decoded, readHeader } from '../../../src/pipeline/decode.js';
import { turboFor } from '../../../src/pipeline/jpeg/turbo.js';

/** `refused`: an error; `warned`: a success with a warning; `same`: the pixels of the sound file; `silent`: others. */
export type End = 'refused' | 'warned' | 'same' | 'silent';

export interface Judged {
  readonly end: End;
  /** Code and message of an error, or the largest difference. */
  readonly detail: string;
}

const turbo = turboFor('auto');

/** @returns the pixels, or the error */
export async function attempt(bytes: Buffer): Promise<Decoded | JobError> {
  try {
    return await decode(bytes, await readHeader(bytes, { maxPixels: 100_000_000, turbo }), { turbo });
  } catch (thrown) {
    return JobError.from(thrown, 'decode');
  }
}

/** @throws JobError `INTERNAL`: a mistake of our own is no refusal */
export async function judge(damaged: Buffer, sound: Decoded): Promise<Judged> {
  const found = await attempt(damaged);
  if (found instanceof JobError) {
    if (found.code === 'INTERNAL') throw found;
    return { end: 'refused', detail: `${found.code} ${found.message}` };
  }
  const isNew = found.warnings.some((one) => !sound.warnings.includes(one));
  const off = distance(found, sound);
  if (off <= 1) return { end: 'same', detail: String(off) };
  return { end: isNew ? 'warned' : 'silent', detail: String(off) };
}

/** Largest difference of two pictures in levels; 256 if their sizes differ. */
export function distance({ raster: a }: Decoded, { raster: b }: Decoded): number {
  if (a.width !== b.width || a.height !== b.height || (a.alpha === undefined) !== (b.alpha === undefined)) return 256;
  let most = 0;
  for (let i = 0; i < a.rgb.length; i++) most = Math.max(most, Math.abs((a.rgb[i] ?? 0) - (b.rgb[i] ?? 0)));
  for (let i = 0; i < (a.alpha?.length ?? 0); i++) {
    most = Math.max(most, Math.abs((a.alpha?.[i] ?? 0) - (b.alpha?.[i] ?? 0)));
  }
  return most;
}
