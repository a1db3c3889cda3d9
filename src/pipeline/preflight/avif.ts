import { JobError } from '../../domain/errors.js';
import { type Box, childrenOf, corrupt, only, optional, Reader } from './boxes.js';
import { exifPreflight } from './exif.js';
import { unsupported } from './foreign.js';

/** Limit of grid cells and transparency layers together; also the limit of item locations. */
const MAX_REFERENCES = 10_000;

/** What decoding an item costs (ISO/IEC 23008-12): its own pixels, the items it is made of, the layers it has. */
interface Items {
  readonly types: ReadonlyMap<number, string>;
  readonly pixels: ReadonlyMap<number, number>;
  readonly madeOf: ReadonlyMap<number, readonly number[]>;
  readonly layers: ReadonlyMap<number, readonly number[]>;
  readonly colours: ReadonlyMap<number, Nclx>;
  /** Items whose colours are multiplied by their transparency. */
  readonly premultiplied: ReadonlySet<number>;
}

/** Numbers of a colour space (ITU-T H.273). */
export interface Nclx {
  readonly primaries: number;
  readonly transfer: number;
}

/**
 * Finds the pixels that must be decoded to show the picture of an AVIF, and what its colours mean. A grid cell counts as often as it is referenced, and a
 * transparency layer counts with its item. Their sizes may differ from the size that the picture declares.
 * @throws JobError `UNSUPPORTED_FORMAT` if the picture is not coded as AV1; `INPUT_CORRUPT`
 */
export function preflightAvif(file: Buffer) {
  const top = childrenOf(file, 0, file.length);
  // A file of this format without `meta` and without an AVIF brand is a film.
  if (!optional(top, 'meta') && file.toString('latin1', 8, 11) !== 'avi') {
    throw unsupported(file);
  }
  const meta = only(top, 'meta');
  const boxes = childrenOf(file, meta.from + 4, meta.to);
  const items = readItems(file, boxes);
  const [exif, second] = [...items.types].filter(([, type]) => type === 'Exif');
  if (second) throw corrupt('expected EXIF once');
  if (exif) exifPreflight()(contentOf(file, exif[0], boxes));
  const pitm = new Reader(file, only(boxes, 'pitm'));
  const primary = headOf(pitm).version === 0 ? pitm.number(2) : pitm.number(4);
  const nclx = items.colours.get(primary);
  return { codedPixels: pixelsOf(primary, items), nclx, premultiplied: items.premultiplied.has(primary) };
}

function pixelsOf(primary: number, { types, pixels, madeOf, layers }: Items): number {
  const known = new Map<number, number>();
  const sum = (ids: readonly number[] = [], depth: number): number =>
    ids.reduce((total, id) => total + pixelsOfItem(id, depth), 0);
  const pixelsOfItem = (id: number, depth: number): number => {
    const before = known.get(id);
    if (before !== undefined) return before;
    // A picture or a grid of pictures, and the transparency of either. AVIF encoders write nothing deeper.
    if (depth > 2) throw corrupt('expected a picture, or a grid of pictures');
    const type = types.get(id);
    if (type !== 'av01' && type !== 'grid') {
      throw type === 'hvc1' || type === 'hev1' ? unsupported(HEIC) : notAv1(type);
    }
    const own = type === 'grid' ? sum(madeOf.get(id), depth + 1) : pixels.get(id);
    if (!own) throw corrupt(`item ${id} does not say its size`);
    const all = own + sum(layers.get(id), depth + 1);
    known.set(id, all);
    return all;
  };
  return pixelsOfItem(primary, 0);
}

/** How a file of HEVC starts, whatever brand this one has. */
const HEIC = Buffer.from('\0\0\0\x18ftypheic', 'latin1');

function notAv1(type: string | undefined): JobError {
  return new JobError('UNSUPPORTED_FORMAT', `expected AV1 in an AVIF, given ${JSON.stringify(type)}`);
}

function readItems(file: Buffer, boxes: readonly Box[]): Items {
  const types = new Map<number, string>();
  const iinf = new Reader(file, only(boxes, 'iinf'));
  iinf.number(headOf(iinf).version === 0 ? 2 : 4);
  for (const box of iinf.rest()) {
    const info = new Reader(file, box);
    const { version } = headOf(info);
    if (version < 2) continue;
    const id = info.number(version === 2 ? 2 : 4);
    info.number(2); // index of the item's protection
    types.set(id, info.text(4));
  }
  return { types, ...readProperties(file, only(boxes, 'iprp')), ...readReferences(file, optional(boxes, 'iref')) };
}

/** The largest size that the properties of each item declare, in pixels, and its colour space. */
function readProperties(file: Buffer, iprp: Box): Pick<Items, 'pixels' | 'colours'> {
  const boxes = childrenOf(file, iprp.from, iprp.to);
  const properties = new Reader(file, only(boxes, 'ipco')).rest().map((box) => propertyOf(file, box));
  const pixels = new Map<number, number>();
  const colours = new Map<number, Nclx>();
  for (const box of boxes.filter(({ type }) => type === 'ipma')) {
    const table = new Reader(file, box);
    const { version, flags } = headOf(table);
    for (let entries = table.number(4); entries > 0; entries--) {
      const id = table.number(version === 0 ? 2 : 4);
      for (let count = table.number(1); count > 0; count--) {
        const index = flags & 1 ? table.number(2) & 0x7fff : table.number(1) & 0x7f;
        const property = properties[index - 1];
        if (typeof property === 'number') pixels.set(id, Math.max(pixels.get(id) ?? 0, property));
        else if (property) colours.set(id, property);
      }
    }
  }
  return { pixels, colours };
}

/** Pixels of an `ispe`, numbers of a `colr` of kind `nclx`; undefined for any other. */
function propertyOf(file: Buffer, box: Box): number | Nclx | undefined {
  const property = new Reader(file, box);
  if (box.type === 'ispe') {
    headOf(property);
    return property.number(4) * property.number(4);
  }
  if (box.type !== 'colr' || property.text(4) !== 'nclx') return undefined;
  return { primaries: property.number(2), transfer: property.number(2) };
}

function readReferences(file: Buffer, iref: Box | undefined): Pick<Items, 'madeOf' | 'layers' | 'premultiplied'> {
  const madeOf = new Map<number, number[]>();
  const layers = new Map<number, number[]>();
  const premultiplied = new Set<number>();
  if (!iref) return { madeOf, layers, premultiplied };
  const all = new Reader(file, iref);
  const bytes = headOf(all).version === 0 ? 2 : 4;
  let count = 0;
  for (const box of all.rest()) {
    const reference = new Reader(file, box);
    const from = reference.number(bytes);
    if (box.type === 'prem') premultiplied.add(from);
    for (let left = reference.number(2); left > 0; left--) {
      if (++count > MAX_REFERENCES) throw corrupt(`expected at most ${MAX_REFERENCES} references`);
      const to = reference.number(bytes);
      if (box.type === 'dimg') append(madeOf, from, to);
      if (box.type === 'auxl') append(layers, to, from);
    }
  }
  return { madeOf, layers, premultiplied };
}

/** The bytes of an item that is stored in one piece, in the file or in the box idat. */
function contentOf(file: Buffer, wanted: number, boxes: readonly Box[]): Buffer {
  const iloc = new Reader(file, only(boxes, 'iloc'));
  const { version } = headOf(iloc);
  const [sizes, more] = [iloc.number(1), iloc.number(1)];
  const [ofOffset, ofLength, ofBase, ofIndex] = [sizes >> 4, sizes & 15, more >> 4, version > 0 ? more & 15 : 0];
  let count = 0;
  for (let left = iloc.number(version < 2 ? 2 : 4); left > 0; left--) {
    const id = iloc.number(version < 2 ? 2 : 4);
    const method = version > 0 ? iloc.number(2) & 15 : 0;
    iloc.number(2); // index of an external file, which no reader supports
    const base = iloc.number(ofBase);
    const pieces = iloc.number(2);
    // All fields of a piece may have 0 bytes, so the size of the file does not bound the number of pieces.
    count += 1 + pieces;
    if (count > MAX_REFERENCES) throw corrupt(`expected at most ${MAX_REFERENCES} places of items`);
    let [offset, length] = [0, 0];
    for (let piece = 0; piece < pieces; piece++) {
      iloc.number(ofIndex);
      [offset, length] = [iloc.number(ofOffset), iloc.number(ofLength)];
    }
    if (id !== wanted) continue;
    if (pieces !== 1 || method > 1) throw corrupt('expected EXIF in one piece');
    const from = base + offset + (method === 1 ? only(boxes, 'idat').from : 0);
    return file.subarray(from, length === 0 ? undefined : from + length);
  }
  return Buffer.alloc(0);
}

function append(map: Map<number, number[]>, key: number, value: number): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

function headOf(box: Reader): { readonly version: number; readonly flags: number } {
  return { version: box.number(1), flags: box.number(3) };
}
