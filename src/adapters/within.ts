import { onAbort } from './abort.js';

/** The limit passed first. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

/**
 * Bounds the wait for a call that takes no signal. What was called goes on unseen: give it a limit of its own where its
 * library has one, so that its connection ends too.
 * @param what is done, for the error
 * @throws NoAnswer `<what>: no answer within <limitMs> ms`; the signal's reason when it fires; what the call throws
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
