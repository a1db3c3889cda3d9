import { JobError } from '../../domain/errors.js';

/** A camera writes some hundred. */
const MAX_ENTRIES = 20_000;
/** As deep as libexif goes at the most. */
const MAX_DEPTH = 170;
/** Entries that stand for a directory: details, places, interoperability. */
const DIRECTORIES = [0x8769, 0x8825, 0xa005];
/** How EXIF begins, wherever a reader may look for it in the block. */
const STARTS = ['II*\0', 'MM\0*'];

/**
 * For the blocks of EXIF of one file. Visits each directory as often as libexif would: one that names itself in each of its
 * 200 entries, 2.4 KB in all, keeps it busy for 86 s, and sharp has it read EXIF several times.
 * @returns throws JobError `INPUT_CORRUPT` for more than 20,000 entries in all visits to all blocks
 */
export function exifScreen(): (block: Buffer) => void {
  let visits = 0;
  const visit = (): void => {
    if (++visits > MAX_ENTRIES) throw new JobError('INPUT_CORRUPT', `expected at most ${MAX_ENTRIES} entries of EXIF`);
  };
  return (block) => {
    visit(); // a block without an entry costs, too
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
          // The thumbnail's directory comes behind the first.
          if (depth === 0 && end + 4 <= block.length) walk(read32(end), 1);
        };
        if (base + 8 <= block.length) walk(read32(base + 4), 0);
      }
    }
  };
}
