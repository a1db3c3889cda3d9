/** Tensors in Triton's wire format: raw little-endian bytes and a shape. */

const BYTES_PER_ELEMENT = { UINT8: 1, INT32: 4, FP32: 4 } as const;
export type Datatype = keyof typeof BYTES_PER_ELEMENT;

export interface Tensor {
  readonly name: string;
  readonly datatype: Datatype;
  /** The shape without the batch dimension, because one request carries one element of a batch. */
  readonly shape: readonly number[];
  /** Row-major bytes. Their length is the product of the shape times the size of an element. */
  readonly data: Buffer;
}

/**
 * Creates a tensor and checks its bytes against its shape, because Triton reports a wrong length only after it has
 * received the bytes.
 * @throws RangeError when the length is wrong
 */
export function createTensor(name: string, datatype: Datatype, shape: readonly number[], data: Buffer): Tensor {
  const expected = shape.reduce((product, side) => product * side, BYTES_PER_ELEMENT[datatype]);
  if (data.length !== expected) {
    throw new RangeError(`tensor ${name}: expected ${expected} bytes for [${shape.join(', ')}], given ${data.length}`);
  }
  return { name, datatype, shape, data };
}

/** Creates the optional second input `origin`: the position of a window in the whole image. All values are pixels. */
export function originTensor(x: number, y: number, fullWidth: number, fullHeight: number): Tensor {
  const data = Buffer.allocUnsafe(16);
  [x, y, fullWidth, fullHeight].forEach((value, index) => data.writeInt32LE(value, index * 4));
  return createTensor('origin', 'INT32', [4], data);
}
