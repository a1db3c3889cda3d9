/** Pixels to compute between two pauses for the event loop: about a millisecond of work. */
const PIXELS_A_TURN = 100_000;

/** Lets the event loop extend leases, answer health checks and run other jobs. */
export function pause(): Promise<void> {
  return new Promise((resume) => setImmediate(resume));
}

/**
 * Calls `work` for consecutive ranges that together cover `count` items, with a pause after each.
 * @param pixels pixels of one item, for example of a row
 */
export async function inTurns(count: number, pixels: number, work: (from: number, to: number) => void): Promise<void> {
  const step = Math.max(1, Math.floor(PIXELS_A_TURN / pixels));
  for (let from = 0; from < count; from += step) {
    if (from > 0) await pause();
    work(from, Math.min(count, from + step));
  }
}

/** Runs a computation that yields now and then, with a pause at each yield. @returns what it returns */
export async function inPieces<T>(work: Generator<undefined, T>): Promise<T> {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    await pause();
  }
}
