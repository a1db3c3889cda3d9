/** A queue between the work and its reader, with a bounded number of places. */
import { type Settle, waitUnless } from '../domain/signals.js';

export interface Tray<T> {
  /**
   * Waits for a place. Putting a value in takes the place along; it is free again when the reader has taken the value.
   * @returns gives the place back without a value
   */
  readonly enter: (signal: AbortSignal) => Promise<() => void>;
  put(value: T): void;
  /** No more values come. The reader gets the error after the values that are there. */
  end(error?: Error): void;
  /** Yields the values until the end. @throws the error of the end */
  take(): AsyncGenerator<T, void, void>;
}

export function createTray<T>(places: number): Tray<T> {
  const values: T[] = [];
  const waiting: Settle<() => void>[] = [];
  let free = places;
  let ended: { readonly error: Error | undefined } | undefined;
  let wake: () => void = () => undefined;

  function leave(): void {
    const next = waiting.shift();
    if (next) next.resolve(once(leave));
    else free++;
  }

  return {
    enter: (signal) =>
      waitUnless<() => void>(signal, (settle) => {
        if (free > 0) {
          free--;
          settle.resolve(once(leave));
          return () => undefined;
        }
        waiting.push(settle);
        return () => {
          const at = waiting.indexOf(settle);
          if (at >= 0) waiting.splice(at, 1);
        };
      }),
    put(value) {
      values.push(value);
      wake();
    },
    end(error) {
      ended ??= { error };
      wake();
    },
    async *take() {
      for (;;) {
        while (values.length > 0) {
          const [value] = values.splice(0, 1) as [T];
          leave();
          yield value;
        }
        if (ended) {
          if (ended.error) throw ended.error;
          return;
        }
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}
