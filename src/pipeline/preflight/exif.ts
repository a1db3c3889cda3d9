import { JobError } from '../../domain/errors.js';

/** Limit of entries. A camera writes about a hundred. */
const MAX_ENTRIES = 20_000;
/** Depth limit of libexif. */
const MAX_DEPTH = 170;
/** Tags of the entries that point to a directory: Exif, GPS, interoperability. */
const DIRECTORIES = [0x8769, 0x8825, 0xa005];
/** First bytes of EXIF data. A reader may look for them anywhere in the block. */
const STARTS = ['II*\0', 'MM\0*'];

/**
 * Creates a check for the EXIF blocks of one file. It visits each directory as often as libexif would. A directory of
 * 2.4 KB whose 200 entries all point to itself keeps libexif busy for 86 s, and sharp makes it read EXIF several times.
 * @returns the check, which throws JobError `INPUT_CORRUPT` above 20,000 visited entries in all blocks together
 */
export function exifPreflight(): (block: Buffer) => void {
  let visits = 0;
  const visit = (): void => {
    if (++visits > MAX_ENTRIES) throw new JobError('INPUT_CORRUPT', `expected at most ${MAX_ENTRIES} entries of EXIF`);
  };
  return (block) => {
    visit(); // a block without entries costs time, too
    for (const start of STARTS) {
      const read16 = (at: number) => (start === 'II*\0' ? block.readUInt16LE(at) : block.readUInt16BE(at));
      const read32 = (at: number) => (start === 'II*\0' ? block.readUInt32LE(at) : block.readUInt32BE(at));
      for (let base = block.indexOf(start, 0, 'latin1'); base >= 0; base = block.indexOf(start, base + 1, 'latin1')) {
        const walk = (offset: number, depth: number): void => {
          visit();
          const from = base + offset;
          if (depth > MAX_DEPTH || from + 2 > block.length) return;
          const end = from + 2 + read16(from) * 12;
          for (let entry = from + 2; entry < end && entry + 12 <= block.length; entry += 12) {
            visit();
            if (DIRECTORIES.includes(read16(entry))) walk(read32(entry + 8), depth + 1);
          }
          // The thumbnail's directory follows the first.
          if (depth === 0 && end + 4 <= block.length) walk(read32(end), 1);
        };
        if (base + 8 <= block.length) walk(read32(base + 4), 0);
      }
    }
  };
}
