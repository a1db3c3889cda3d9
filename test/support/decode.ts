import type { InputFormat } from '../../src/domain/job.js';
import { decode, type Decoded, type DecodeOptions, readHeader } from '../../src/pipeline/decode.js';
import { type TurboJpeg, turboFor } from '../../src/pipeline/jpeg/turbo.js';

export interface DecodeFileOptions extends Omit<DecodeOptions, 'turbo'> {
  readonly maxPixels: number;
  /** `null` leaves everything to sharp. By default the worker's own choice. */
  readonly turbo?: TurboJpeg | null;
}

const installed = turboFor('auto');

/** Reads the header of a file and decodes it, as the pipeline does in two steps. */
export async function decodeFile(
  bytes: Buffer,
  { maxPixels, turbo = installed ?? null, ...others }: DecodeFileOptions,
): Promise<Decoded & { readonly format: InputFormat }> {
  const options = { ...others, turbo: turbo ?? undefined };
  const header = await readHeader(bytes, { maxPixels, turbo: options.turbo });
  return { ...(await decode(bytes, header, options)), format: header.format };
}
