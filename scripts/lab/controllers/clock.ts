/** The compressed clock: everything that the simulator counts in seconds passes in this run as many times faster. */

/**
 * Kubernetes counts in whole seconds. With this factor the autoscaler's 15 s become 2, its windows of 300 and 600 s 40 and 80;
 * two processors hold the pace of the jobs.
 */
export const FACTOR = 7.5;

/** @param seconds of the simulator. @returns milliseconds of this run */
export const toMs = (seconds: number): number => (seconds * 1000) / FACTOR;

/** @param ms of this run. @returns seconds of the simulator */
export const toSeconds = (ms: number): number => (ms * FACTOR) / 1000;

/** @returns whole seconds of this run, for Kubernetes. @throws RangeError where they are not whole */
export function wholeSeconds(seconds: number): number {
  const compressed = seconds / FACTOR;
  if (!Number.isInteger(compressed)) throw new RangeError(`expected a multiple of ${FACTOR} s, given ${seconds}`);
  return compressed;
}
