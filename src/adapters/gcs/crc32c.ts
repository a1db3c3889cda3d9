import { crc32c as sumOf } from '@node-rs/crc32';

/** The CRC32C of the bytes, big-endian in base64, as Cloud Storage writes it. */
export function crc32c(bytes: Buffer): string {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(sumOf(bytes));
  return sum.toString('base64');
}
