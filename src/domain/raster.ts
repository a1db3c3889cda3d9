/** Pixels between decode and encode: 8-bit sRGB, upright, interleaved, with alpha kept apart. */
export interface Raster {
  readonly width: number;
  readonly height: number;
  /** `height × width × 3` bytes: exactly the layout of the contract's `image` tensor, so no copy is needed. */
  readonly rgb: Buffer;
  /** `height × width` bytes, 255 is opaque; absent when every pixel is. */
  readonly alpha?: Buffer;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export function isSameSize(a: Size, b: Size): boolean {
  return a.width === b.width && a.height === b.height;
}
