/** The frame header of a JPEG, and what its scan headers say (ITU-T T.81, B.2.2 and B.2.3). */
import { JobError } from '../../domain/errors.js';
import { damaged, MARKER, type Segment } from './markers.js';

export interface Component {
  readonly id: number;
  /** Blocks of an MCU, across and down. */
  readonly h: number;
  readonly v: number;
  readonly quantiser: number;
}

export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly progressive: boolean;
  readonly arithmetic: boolean;
  readonly components: readonly Component[];
}

export interface Scan {
  /** Offset of the marker, and of the three bytes that limit the coefficients. */
  readonly at: number;
  readonly limitsAt: number;
  /** First byte of the entropy-coded data. */
  readonly data: number;
  readonly components: readonly { readonly index: number; readonly dc: number; readonly ac: number }[];
  readonly first: number;
  readonly last: number;
  readonly high: number;
  readonly low: number;
}

const LOSSLESS = [0xc3, 0xc7, 0xcb, 0xcf];
const HIERARCHICAL = [0xc5, 0xc6, 0xc7, 0xcd, 0xce, 0xcf];

/** Whether the marker starts a frame. Three of the same group do not: DHT, JPG and DAC. */
export function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
}

/** @throws JobError `UNSUPPORTED_FORMAT` for a kind of JPEG that cannot be decoded, `INPUT_CORRUPT` */
export function readFrame(jpeg: Buffer, { marker, from, to }: Segment): Frame {
  if (LOSSLESS.includes(marker)) throw unsupported('a lossless JPEG');
  if (HIERARCHICAL.includes(marker)) throw unsupported('a hierarchical JPEG');
  const count = jpeg[from + 5] ?? 0;
  if (to - from < 6 || count === 0 || to - from < 6 + count * 3) throw damaged('its frame header is cut short');
  const precision = jpeg[from] ?? 0;
  if (precision !== 8) throw unsupported(`a JPEG of ${precision} bits per channel`);
  const height = jpeg.readUInt16BE(from + 1);
  if (height === 0) throw unsupported('a JPEG whose height follows its pixels (DNL)');
  const components = Array.from({ length: count }, (_, i): Component => {
    const at = from + 6 + i * 3;
    const sampling = jpeg[at + 1] ?? 0;
    return { id: jpeg[at] ?? 0, h: sampling >> 4, v: sampling & 15, quantiser: jpeg[at + 2] ?? 0 };
  });
  const isSampled = ({ h, v }: Component) => h >= 1 && h <= 4 && v >= 1 && v <= 4;
  if (!components.every(isSampled)) throw damaged('expected 1 to 4 blocks of a component in an MCU');
  return {
    ...{ width: jpeg.readUInt16BE(from + 3), height, components },
    progressive: marker === MARKER.SOF2 || marker === MARKER.SOF10,
    arithmetic: marker > MARKER.DHT,
  };
}

function unsupported(given: string): JobError {
  return new JobError(
    'UNSUPPORTED_FORMAT',
    `expected a JPEG with 8 bits per channel, given ${given}: convert it first`,
  );
}

/** @throws JobError `INPUT_CORRUPT` for components that the frame does not have */
export function readScan(jpeg: Buffer, { at, from, to }: Segment, frame: Frame): Scan {
  const count = jpeg[from] ?? 0;
  const limitsAt = from + 1 + count * 2;
  if (count < 1 || count > 4 || to < limitsAt + 3) throw damaged('a scan header is cut short');
  const components = Array.from({ length: count }, (_, i) => {
    const id = jpeg[from + 1 + i * 2];
    const tables = jpeg[from + 2 + i * 2] ?? 0;
    return { index: frame.components.findIndex((one) => one.id === id), dc: tables >> 4, ac: tables & 15 };
  });
  if (components.some(({ index }) => index < 0)) throw damaged('a scan names a component that is not there');
  const [first = 0, last = 0, bits = 0] = jpeg.subarray(limitsAt, limitsAt + 3);
  return { at, limitsAt, data: to, components, first, last, high: bits >> 4, low: bits & 15 };
}
