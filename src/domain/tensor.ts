/** Tensors as Triton's wire carries them: raw little-endian bytes and a shape. */

const BYTES_PER_ELEMENT = { UINT8: 1, INT32: 4, FP32: 4 } as const;
export type Datatype = keyof typeof BYTES_PER_ELEMENT;

export interface Tensor {
  readonly name: string;
  readonly datatype: Datatype;
  /** Without the batch dimension: one request carries one element of a batch. */
  readonly shape: readonly number[];
  /** Row-major; its length is the product of the shape times the element's size. */
  readonly data: Buffer;
}

/**
 * Builds a tensor and checks its bytes against its shape, since a wrong length is reported by Triton only after the
 * bytes have travelled.
 */
export function createTensor(name: string, datatype: Datatype, shape: readonly number[], data: Buffer): Tensor {
  const expected = shape.reduce((product, side) => product * side, BYTES_PER_ELEMENT[datatype]);
  if (data.length !== expected) {
    throw new RangeError(`tensor ${name}: expected ${expected} bytes for [${shape.join(', ')}], given ${data.length}`);
  }
  return { name, datatype, shape, data };
}

/** The optional second input `origin`: where a window lies in the whole image, all in pixels. */
export function originTensor(x: number, y: number, fullWidth: number, fullHeight: number): Tensor {
  const data = Buffer.allocUnsafe(16);
  [x, y, fullWidth, fullHeight].forEach((value, index) => data.writeInt32LE(value, index * 4));
  return createTensor('origin', 'INT32', [4], data);
}
