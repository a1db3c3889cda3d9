import { setMaxListeners } from 'node:events';

/**
 * Calls back when the signal fires; not for one that has fired already.
 * @returns takes the listener off again
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  // One job's signal may stop many requests at once; Node takes more than ten listeners for a leak.
  setMaxListeners(0, signal);
  signal.addEventListener('abort', listener, { once: true });
  return () => signal.removeEventListener('abort', listener);
}
