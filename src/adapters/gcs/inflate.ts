import { createGunzip } from 'node:zlib';
import { onAbort } from '../abort.js';

export type Inflated =
  | { readonly kind: 'whole'; readonly bytes: Buffer }
  /** How many bytes were inflated before it stopped. */
  | { readonly kind: 'too-large'; readonly bytes: number }
  | { readonly kind: 'corrupt'; readonly reason: string };

/** Output chunk size. Each chunk takes a thread of libuv's pool, which other work shares. */
const CHUNK_BYTES = 64 * 1024;

export function isGzip(bytes: Buffer): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/**
 * Inflates gzip in chunks, up to `maxBytes`, because a kilobyte can hold a megabyte.
 * @throws the signal's reason
 */
export async function inflate(bytes: Buffer, maxBytes: number, signal: AbortSignal): Promise<Inflated> {
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES });
  const stopListening = onAbort(signal, () => gunzip.destroy(signal.reason as Error));
  try {
    gunzip.end(bytes);
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of gunzip as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > maxBytes) return { kind: 'too-large', bytes: length };
      chunks.push(chunk);
    }
    return { kind: 'whole', bytes: Buffer.concat(chunks, length) };
  } catch (thrown) {
    signal.throwIfAborted();
    return { kind: 'corrupt', reason: thrown instanceof Error ? thrown.message : String(thrown) };
  } finally {
    stopListening();
  }
}
