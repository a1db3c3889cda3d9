/** Reads a JPEG from its first marker to its last, and finds whether everything in between is there. */
import { JobError } from '../../domain/errors.js';
import { densityFrom, INCH_CENTIMETRES } from '../density.js';
import { exifPreflight } from '../preflight/exif.js';
import { type Frame, isFrame, readFrame, readScan, type Scan } from './frame.js';
import type { TableSource } from './huffman.js';
import { type Edit, isIcc, renumbered } from './icc.js';
import { damaged, MARKER, nextMarker, type Segment, segmentFrom } from './markers.js';
import { Progression } from './progression.js';
import { walkScan } from './sequential.js';

/** Limit of scans. A scan of 150 bytes can make the decoder pass over the whole picture again. Encoders write 10 or 20. */
export const MAX_SCANS = 100;
/** Limit of segments. A usual file has 20; one with large metadata, some hundreds. */
const MAX_SEGMENTS = 10_000;

/** What viewers show although the standard does not permit it. */
export type JpegFlaw = 'profile' | 'extra-bytes' | 'scan-limits' | 'no-end';

/** Bytes of zeros that no picture has where a code of zeros means a value. */
const LOST = Buffer.alloc(32);
/** The end marker. */
const END = Buffer.from([0xff, MARKER.EOI]);

export class JpegFile {
  readonly flaws = new Set<JpegFlaw>();
  /** Whether there is no profile, EXIF, XMP or IPTC before the first scan, where decoders look for them. */
  readonly isBare: boolean;
  /** Whether it comes in several scans, progressive or not. Its decoder then holds all coefficients at once. */
  readonly isInScans: boolean;
  readonly #edits: Edit[] = [];
  readonly #dc: (TableSource | undefined)[] = [];
  readonly #ac: (TableSource | undefined)[] = [];
  readonly #dcSteps: (number | undefined)[] = [];
  #restart = 0;
  #segments = 0;
  #at = 2;
  #frame: Frame | undefined;
  /** The first scan of a sequential JPEG, up to which the constructor reads. */
  #scan: Scan | undefined;

  /**
   * Reads the headers. Of a file whose scans cannot be followed bit by bit, it reads the scan headers, too.
   * @throws JobError `UNSUPPORTED_FORMAT`, `INPUT_CORRUPT`; `INPUT_TOO_MANY_PIXELS` above {@link MAX_SCANS} scans
   */
  constructor(readonly jpeg: Buffer) {
    const checkExif = exifPreflight();
    const profile: Segment[] = [];
    const transforms: number[] = [];
    let isBare = true;
    const scan = this.#nextScan((segment) => {
      if (mayDescribe(segment.marker)) isBare = false;
      if (segment.marker === MARKER.APP1 && jpeg.toString('latin1', segment.from, segment.from + 4) === 'Exif') {
        checkExif(jpeg.subarray(segment.from, segment.to));
      }
      if (isIcc(jpeg, segment)) profile.push(segment);
      if (isAdobe(jpeg, segment)) transforms.push(segment.from + ADOBE_TRANSFORM);
    });
    this.isBare = isBare;
    this.#knowTransforms(transforms);
    const numbers = renumbered(jpeg, profile);
    if (numbers) this.#edits.push(...numbers);
    else this.flaws.add('profile');
    if (!scan) throw damaged('it has no picture');
    const frame = this.#frame;
    this.isInScans = frame !== undefined && (frame.progressive || scan.components.length < frame.components.length);
    if (this.isWalked) this.#scan = scan;
    else this.#readScans(scan);
  }

  /** Whether `check` follows every bit. If not, only the decoder's own warnings show damage. */
  get isWalked(): boolean {
    return this.#frame !== undefined && !this.#frame.progressive && !this.#frame.arithmetic;
  }

  /**
   * Checks that every block of every scan is there.
   * @throws JobError `INPUT_CORRUPT`
   */
  async check(): Promise<void> {
    const frame = this.#frame;
    const missing = new Set(frame?.components.keys());
    for (let scan = this.#scan; scan && frame; scan = missing.size > 0 ? this.#nextScan() : undefined) {
      if (scan.first !== 0 || scan.last !== 63 || scan.high !== 0 || scan.low !== 0) this.flaws.add('scan-limits');
      for (const { index } of scan.components) if (!missing.delete(index)) throw damaged('a component comes twice');
      const tables = { dc: this.#dc, ac: this.#ac, dcSteps: this.#dcSteps, restart: this.#restart };
      const { blocksEnd, end, isExact } = await walkScan(this.jpeg, frame, scan, tables);
      if (!isExact) this.flaws.add('extra-bytes');
      this.#at = end;
      this.#findLost(scan, blocksEnd);
    }
    if (this.#scan) {
      if (missing.size > 0) throw damaged('a component is missing');
      if (this.jpeg.indexOf(END, this.#at) < 0) this.#addEnd();
    }
  }

  #readScans(first: Scan): void {
    const frame = this.#frame;
    if (!frame) return;
    const progression = frame.progressive ? new Progression(frame) : undefined;
    let scans = 0;
    for (let scan: Scan | undefined = first; scan; scan = this.#nextScan()) {
      if (++scans > MAX_SCANS) {
        throw new JobError('INPUT_TOO_MANY_PIXELS', `expected at most ${MAX_SCANS} scans of a progressive JPEG`);
      }
      progression?.add(scan);
      const end = nextMarker(this.jpeg, scan.data);
      this.#at = end < 0 ? this.jpeg.length : end;
      this.#findLost(scan, this.#at);
    }
    progression?.end();
  }

  /** Reads segments up to the next scan, or to the end. */
  #nextScan(visit: (segment: Segment) => void = () => undefined): Scan | undefined {
    for (;;) {
      if (++this.#segments > MAX_SEGMENTS) throw damaged(`expected at most ${MAX_SEGMENTS} segments`);
      const segment = segmentFrom(this.jpeg, this.#at);
      const end = segment?.at ?? this.jpeg.length;
      const start = skipFill(this.jpeg, this.#at, end);
      if (end > start) {
        this.flaws.add('extra-bytes');
        this.#edits.push({ from: start, to: end, bytes: [] });
      }
      if (!segment) {
        this.#addEnd();
        return undefined;
      }
      if (segment.marker === MARKER.EOI) return undefined;
      visit(segment);
      this.#at = segment.to;
      if (segment.marker === MARKER.SOS) {
        if (!this.#frame) throw damaged('a scan comes before the frame');
        return readScan(this.jpeg, segment, this.#frame);
      }
      this.#read(segment);
    }
  }

  #read(segment: Segment): void {
    const { marker, from, to } = segment;
    const { jpeg } = this;
    if (isFrame(marker)) {
      if (this.#frame) throw damaged('it has two frames');
      this.#frame = readFrame(jpeg, segment);
    } else if (marker === MARKER.DRI && to - from >= 2) this.#restart = jpeg.readUInt16BE(from);
    else if (marker === MARKER.DHT) {
      for (let at = from; at + 17 <= to;) {
        const counts = jpeg.subarray(at + 1, at + 17);
        const end = at + 17 + counts.reduce((sum, count) => sum + count, 0);
        if (end > to) throw damaged('a Huffman table is cut short');
        const kind = jpeg[at] ?? 0;
        (kind & 0x10 ? this.#ac : this.#dc)[kind & 15] = { counts, symbols: jpeg.subarray(at + 17, end) };
        at = end;
      }
    } else if (marker === MARKER.DQT) {
      for (let at = from; at + 65 <= to;) {
        const kind = jpeg[at] ?? 0;
        const bytes = kind >> 4 ? 2 : 1;
        this.#dcSteps[kind & 15] = Math.max(1, jpeg.readUIntBE(at + 1, bytes));
        at += 1 + 64 * bytes;
      }
    }
  }

  /** @throws JobError `INPUT_CORRUPT` for bytes that became zeros on the way, where zeros cannot be a picture's */
  #findLost({ data, components: [one], first, last, high }: Scan, end: number): void {
    if (high > 0 || this.#frame?.arithmetic || !this.jpeg.subarray(data, end).includes(LOST)) return;
    const dc = this.#dc[one?.dc ?? 0]?.symbols[0] ?? 0;
    const ac = this.#ac[one?.ac ?? 0]?.symbols[0] ?? 0;
    // Even areas have zeros if the shortest codes say "as before" and "nothing more in this block".
    const isEven = (first > 0 || dc === 0) && (last === 0 || ((ac & 15) === 0 && ac !== 0xf0));
    if (!isEven) throw damaged('a part of its data is zeros');
  }

  /**
   * libjpeg takes three channels of an unknown transform for YCbCr and four for YCCK, and warns, which would count as damage.
   * @param transforms offsets of the transforms that Adobe's markers state
   */
  #knowTransforms(transforms: readonly number[]): void {
    const channels = this.#frame?.components.length;
    const known = channels === 3 ? 1 : channels === 4 ? 2 : undefined;
    for (const at of transforms) {
      const isKnown = known === undefined || [0, known].includes(this.jpeg[at] ?? 0);
      if (!isKnown) this.#edits.push({ from: at, to: at + 1, bytes: [known] });
    }
  }

  #addEnd(): void {
    this.flaws.add('no-end');
    const end = this.jpeg.length;
    this.#edits.push({ from: end, to: end, bytes: [0xff, MARKER.EOI] });
  }

  /** Pixels per inch that JFIF states. */
  get density(): number | undefined {
    const { jpeg } = this;
    if (jpeg.length < 18 || jpeg.readUInt32BE(0) !== 0xffd8ffe0 || jpeg.toString('latin1', 6, 11) !== 'JFIF\0')
      return undefined;
    const inches = jpeg[13] === 1 ? 1 : jpeg[13] === 2 ? INCH_CENTIMETRES : 0;
    return densityFrom(jpeg.readUInt16BE(14) * inches, jpeg.readUInt16BE(16) * inches);
  }

  /** The file, or a copy in which what was found so far is put right, so that a decoder does not stumble over it. */
  mended(): Buffer {
    if (this.#edits.length === 0) return this.jpeg;
    const parts: Uint8Array[] = [];
    let at = 0;
    for (const { from, to, bytes } of this.#edits.toSorted((a, b) => a.from - b.from)) {
      parts.push(this.jpeg.subarray(at, from), Buffer.from(bytes));
      at = to;
    }
    return Buffer.concat([...parts, this.jpeg.subarray(at)]);
  }
}

/** Whether a segment can hold a profile, EXIF, XMP or IPTC. JFIF's and Adobe's cannot. */
function mayDescribe(marker: number): boolean {
  return marker >= MARKER.APP1 && marker <= MARKER.APP15 && marker !== MARKER.APP14;
}

/** Offset of the transform in Adobe's marker. */
const ADOBE_TRANSFORM = 11;

function isAdobe(jpeg: Buffer, { marker, from, to }: Segment): boolean {
  return marker === MARKER.APP14 && to - from > ADOBE_TRANSFORM && jpeg.toString('latin1', from, from + 5) === 'Adobe';
}

/** Any number of bytes 0xff may come before a marker (B.1.1.2). */
function skipFill(jpeg: Buffer, from: number, to: number): number {
  let at = to;
  while (at > from && jpeg[at - 1] === 0xff) at--;
  return at === from ? to : from;
}
