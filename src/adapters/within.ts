import { onAbort } from './abort.js';

/** The time limit has passed. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

/**
 * Limits the wait for a call that takes no signal. The call itself continues: give it a time limit of its own if its library
 * has one, so that its connection ends too.
 * @param what describes the call in the error
 * @throws NoAnswer `<what>: no answer within <limitMs> ms`; the signal's reason when it fires; errors of the call
 */
export async function within<T>(
  limitMs: number,
  what: string,
  call: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  signal?.throwIfAborted();
  let timer: NodeJS.Timeout | undefined;
  let stopListening: (() => void) | undefined;
  const givenUp = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new NoAnswer(`${what}: no answer within ${Math.round(limitMs)} ms`)), limitMs);
    if (signal) stopListening = onAbort(signal, () => reject(signal.reason as Error));
  });
  try {
    return await Promise.race([call(), givenUp]);
  } finally {
    clearTimeout(timer);
    stopListening?.();
  }
}
