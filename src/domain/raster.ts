/** The picture between decode and encode: 8-bit sRGB, upright, interleaved, with separate alpha. */
export interface Raster {
  readonly width: number;
  readonly height: number;
  /** `height × width × 3` bytes. The contract's `image` tensor has the same layout, so no copy is needed. */
  readonly rgb: Buffer;
  /** `height × width` bytes; 255 is opaque. Absent if every pixel is opaque. */
  readonly alpha?: Buffer;
  /** Whether red, green and blue are equal in every visible pixel. Every operation keeps it so. */
  readonly grey?: boolean;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export function isSameSize(a: Size, b: Size): boolean {
  return a.width === b.width && a.height === b.height;
}
