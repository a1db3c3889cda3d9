import { setMaxListeners } from 'node:events';

export interface Combined {
  readonly signal: AbortSignal;
  /** Takes the listeners off; to be called when nobody needs the signal any more. It does not fire after that. */
  readonly release: () => void;
}

/**
 * A signal that fires as soon as one of several does, with its reason. `AbortSignal.any` is not used: Node (20 and 24) keeps
 * such a signal, and all that listens to it, for as long as the longest-lived of those that it was made of. Here that is the
 * worker.
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
    setMaxListeners(0, one); // a long-lived one has as many as there are jobs
    one.addEventListener('abort', fire, { once: true });
    listeners.push(() => one.removeEventListener('abort', fire));
  }
  return { signal: controller.signal, release };
}

/** What ends a wait. */
export interface Settle<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (reason: Error) => void;
}

/**
 * Waits until somebody settles it, or the signal fires.
 * @param begin is given what settles the wait; it returns what takes the wait back when the signal fires first
 * @throws the signal's reason; what the wait was rejected with
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
