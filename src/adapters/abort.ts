import { setMaxListeners } from 'node:events';

/**
 * Calls back when the signal fires. It does not call back for a signal that has already fired.
 * @returns a function that removes the listener
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  // One job's signal may stop many requests at once, and Node reports more than ten listeners as a leak.
  setMaxListeners(0, signal);
  signal.addEventListener('abort', listener, { once: true });
  return () => signal.removeEventListener('abort', listener);
}
