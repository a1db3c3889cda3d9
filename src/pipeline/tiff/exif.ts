/** Gathers the EXIF of a TIFF into a block of its own (TIFF 6.0, section 2; CIPA DC-008), since libvips hands over none. */
import { JobError } from '../../domain/errors.js';
import { SEGMENT_BYTES, TAG } from '../exif.js';
import { Directory, type TiffBytes } from './directory.js';

/** What the first directory says about the photograph, and not about how its pixels are stored. */
const DESCRIPTIVE: ReadonlySet<number> = new Set([
  0x010d, // DocumentName
  0x010e, // ImageDescription
  0x010f, // Make
  0x0110, // Model
  0x0131, // Software
  0x0132, // DateTime
  0x013b, // Artist
  0x013c, // HostComputer
  0x8298, // Copyright
]);
const GPS = 0x8825;
/** Makers write offsets into it that count from the beginning of the file, and would be wrong elsewhere. */
const MAKER_NOTE = 0x927c;
/** The last of TIFF 6.0. Those of BigTIFF are unknown to readers of EXIF. */
const LAST_TYPE = 12;
const LONG = 4;

interface Item {
  readonly tag: number;
  readonly type: number;
  readonly count: number;
  /** Values in the byte order of the file, or a directory that they point to. */
  readonly content: Buffer | readonly Item[];
}

/** @returns undefined if the file has none, if it is too long to be kept, or if an offset leads out of the file */
export function exifOf(file: TiffBytes, first: Directory): Buffer | undefined {
  try {
    const items = [
      ...itemsOf(first).filter(({ tag }) => DESCRIPTIVE.has(tag)),
      ...pointers(file, first, TAG.exif, (details) => pointers(file, details, TAG.interoperability)),
      ...pointers(file, first, GPS),
    ];
    if (items.length === 0 || sizeOf(items) > SEGMENT_BYTES) return undefined;
    const block = Buffer.alloc(8 + sizeOf(items));
    file.bytes.copy(block, 0, 0, 2);
    file.write(block, 2, 2, 42);
    file.write(block, 4, 4, 8);
    write(file, block, 8, items);
    return block;
  } catch (thrown) {
    if (thrown instanceof JobError) return undefined; // its pixels may still be sound
    throw thrown;
  }
}

function itemsOf(directory: Directory): Item[] {
  return directory.entries().flatMap(({ tag, type, count }) => {
    const content = directory.bytesOf(tag);
    const isKnown = type >= 1 && type <= LAST_TYPE && tag !== MAKER_NOTE;
    return content && isKnown ? [{ tag, type, count, content }] : [];
  });
}

/** The directory that an entry points to, as an item of its own. @param deeper items of the directories below it */
function pointers(
  file: TiffBytes,
  from: Directory,
  tag: number,
  deeper: (directory: Directory) => readonly Item[] = () => [],
): Item[] {
  if (!from.has(tag)) return [];
  const directory = new Directory(file, from.number(tag));
  const below = deeper(directory);
  const own = itemsOf(directory).filter((one) => one.tag !== TAG.interoperability);
  return [{ tag, type: LONG, count: 1, content: [...own, ...below] }];
}

const isDirectory = (content: Item['content']): content is readonly Item[] => !Buffer.isBuffer(content);
const even = (bytes: number) => bytes + (bytes % 2);
const headOf = (items: readonly Item[]) => 2 + items.length * 12 + 4;
/** Bytes beside the entry itself. */
const beside = ({ content }: Item): number =>
  isDirectory(content) ? sizeOf(content) : content.length > 4 ? even(content.length) : 0;

function sizeOf(items: readonly Item[]): number {
  return items.reduce((bytes, item) => bytes + beside(item), headOf(items));
}

function write(file: TiffBytes, block: Buffer, at: number, items: readonly Item[]): void {
  const sorted = [...items].sort((a, b) => a.tag - b.tag);
  file.write(block, at, 2, sorted.length);
  let free = at + headOf(sorted);
  sorted.forEach((item, i) => {
    const { tag, type, count, content } = item;
    const entry = at + 2 + i * 12;
    file.write(block, entry, 2, tag);
    file.write(block, entry + 2, 2, type);
    file.write(block, entry + 4, 4, count);
    if (beside(item) > 0) file.write(block, entry + 8, 4, free);
    if (isDirectory(content)) write(file, block, free, content);
    else content.copy(block, beside(item) > 0 ? free : entry + 8);
    free += beside(item);
  });
}
