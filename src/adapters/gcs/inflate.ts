import { createGunzip } from 'node:zlib';
import { onAbort } from '../abort.js';

export type Inflated =
  | { readonly kind: 'whole'; readonly bytes: Buffer }
  /** How many bytes had come out when it was stopped. */
  | { readonly kind: 'too-large'; readonly bytes: number }
  | { readonly kind: 'corrupt'; readonly reason: string };

/** Of what comes out at once: a piece is a slice of libuv's pool, which others use as well. */
const CHUNK_BYTES = 64 * 1024;

export function isGzip(bytes: Buffer): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/**
 * Undoes gzip, in pieces, until more than `maxBytes` have come out: a kilobyte may hold a megabyte.
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
