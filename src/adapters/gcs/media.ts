/** Reads an answer that holds an object's bytes. */
import type { ReadResult } from '../../domain/ports.js';
import { crc32c } from './crc32c.js';
import { type Doing, unavailable } from './errors.js';
import type { Answer } from './call.js';
import { inflate, isGzip } from './inflate.js';

/**
 * Reads the object's bytes, checks them against the stored checksum, and inflates stored gzip.
 * @throws JobError `STORAGE_UNAVAILABLE` if the answer is not from storage, or the bytes were damaged in transit
 */
export async function takeObject(
  answer: Answer,
  doing: Doing,
  maxBytes: number,
  signal: AbortSignal,
): Promise<ReadResult> {
  const generation = answer.header('x-goog-generation');
  // A captive portal or a proxy answers 200 to everything.
  if (generation === undefined) throw unavailable(doing, 'expected the header x-goog-generation, found none');
  const stored = codingOf(answer.header('x-goog-stored-content-encoding') ?? answer.header('content-encoding'));
  const sent = codingOf(answer.header('content-encoding'));
  const length = numberIn(answer.header('x-goog-stored-content-length') ?? answer.header('content-length'));
  if (length !== undefined && length > maxBytes) return { kind: 'too-large', bytes: length };
  const received = await answer.body(maxBytes);
  if (!received) return { kind: 'too-large', bytes: maxBytes + 1 };

  // Storage or a proxy has inflated the gzip although the request accepts it. The checksum is of the compressed bytes.
  if (stored === 'gzip' && sent === undefined) return { kind: 'found', bytes: received, generation };
  // Compressed only for the transfer.
  const bytes = stored === undefined && sent === 'gzip' ? await unpack(received, doing, maxBytes, signal) : received;
  if (typeof bytes === 'number') return { kind: 'too-large', bytes };
  verify(answer, doing, bytes);
  return stored === 'gzip' && isGzip(bytes)
    ? undo(bytes, generation, maxBytes, signal)
    : { kind: 'found', bytes, generation, ...leftOver(stored) };
}

/** Checks the object's own checksum. If the bytes then do not inflate, they were stored that way. */
function verify(answer: Answer, doing: Doing, bytes: Buffer): void {
  const expectedLength = numberIn(answer.header('x-goog-stored-content-length'));
  if (expectedLength !== undefined && bytes.length !== expectedLength) {
    throw unavailable(doing, `expected ${expectedLength} bytes, received ${bytes.length}`);
  }
  const expected = /crc32c=([\w+/=]+)/.exec(answer.header('x-goog-hash') ?? '')?.[1];
  const found = expected === undefined ? undefined : crc32c(bytes);
  if (found !== expected) throw unavailable(doing, `expected bytes of CRC32C ${expected}, received ${found}`);
}

async function undo(bytes: Buffer, generation: string, maxBytes: number, signal: AbortSignal): Promise<ReadResult> {
  const inflated = await inflate(bytes, maxBytes, signal);
  if (inflated.kind === 'whole') return { kind: 'found', bytes: inflated.bytes, generation };
  if (inflated.kind === 'too-large') return inflated;
  return { kind: 'corrupt', reason: `stored with Content-Encoding gzip, but does not inflate: ${inflated.reason}` };
}

/** @returns the length, if it is too large */
async function unpack(received: Buffer, doing: Doing, maxBytes: number, signal: AbortSignal): Promise<Buffer | number> {
  const inflated = await inflate(received, maxBytes, signal);
  if (inflated.kind === 'corrupt') throw unavailable(doing, `the answer does not inflate: ${inflated.reason}`);
  return inflated.bytes;
}

/** If bytes do not have the coding of their header, they are used as they are: uploaders set the header by mistake. */
function leftOver(stored: string | undefined): { contentEncoding?: string } {
  return stored === undefined || stored === 'gzip' ? {} : { contentEncoding: stored };
}

function codingOf(header: string | undefined): string | undefined {
  const coding = header?.trim().toLowerCase() ?? '';
  if (coding === '' || coding === 'identity') return undefined;
  return coding === 'x-gzip' ? 'gzip' : coding;
}

function numberIn(header: string | undefined): number | undefined {
  return header !== undefined && /^\d+$/.test(header) ? Number(header) : undefined;
}
