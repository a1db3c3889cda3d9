import { setMaxListeners } from 'node:events';

export interface Combined {
  readonly signal: AbortSignal;
  /** Removes the listeners. Call it when the signal is no longer needed. The signal does not fire after that. */
  readonly release: () => void;
}

/**
 * Combines signals into one that fires as soon as one of them does, with its reason. It does not use `AbortSignal.any`:
 * Node (20 and 24) keeps such a signal and its listeners as long as the longest-lived of its source signals. Here that
 * signal lives as long as the worker.
 */
export function anyOf(signals: readonly AbortSignal[]): Combined {
  const controller = new AbortController();
  const listeners: (() => void)[] = [];
  const release = () => listeners.splice(0).forEach((off) => off());
  for (const one of signals) {
    const fire = () => {
      release();
      controller.abort(one.reason);
    };
    if (one.aborted) {
      fire();
      break;
    }
    setMaxListeners(0, one); // a long-lived signal has one listener per job
    one.addEventListener('abort', fire, { once: true });
    listeners.push(() => one.removeEventListener('abort', fire));
  }
  return { signal: controller.signal, release };
}

/**
 * Waits for a promise, or for the signal. The promise goes on after the signal, and its result is dropped.
 * @throws what the promise throws; the signal's reason if it fires first
 */
export function unless<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return waitUnless<T>(signal, ({ resolve, reject }) => {
    promise.then(resolve, reject);
    return () => undefined;
  });
}

/** The functions that end a wait. */
export interface Settle<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (reason: Error) => void;
}

/**
 * Waits until it is resolved or rejected, or the signal fires.
 * @param begin starts the wait with the functions that end it, and returns the function that cancels it when the signal
 *   fires first
 * @throws the signal's reason, or the reason of the rejection
 */
export function waitUnless<T>(signal: AbortSignal, begin: (settle: Settle<T>) => () => void): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason as Error);
      return;
    }
    const giveUp = () => {
      reject(signal.reason as Error);
      takeBack();
    };
    const stopListening = () => signal.removeEventListener('abort', giveUp);
    signal.addEventListener('abort', giveUp, { once: true });
    const takeBack = begin({
      resolve(value) {
        stopListening();
        resolve(value);
      },
      reject(reason) {
        stopListening();
        reject(reason);
      },
    });
  });
}
