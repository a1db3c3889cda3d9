import { decode, type Decoded, type DecodeOptions, readHeader } from '../../src/pipeline/decode.js';
import type { InputFormat } from '../../src/domain/job.js';

/** Reads the header of a file and decodes it, as the pipeline does in two steps. */
export async function decodeFile(
  bytes: Buffer,
  { maxPixels, ...options }: DecodeOptions & { readonly maxPixels: number },
): Promise<Decoded & { readonly format: InputFormat }> {
  const header = await readHeader(bytes, { maxPixels });
  return { ...(await decode(bytes, header, options)), format: header.format };
}
