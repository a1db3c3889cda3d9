import { connectTriton, type Triton, type TritonOptions } from '../adapters/triton/server.js';

/** Runs work with a connection to Triton, and closes it. */
export async function withTriton<T>(options: TritonOptions, work: (triton: Triton) => Promise<T>): Promise<T> {
  const triton = connectTriton(options);
  try {
    return await work(triton);
  } finally {
    await triton.close();
  }
}
