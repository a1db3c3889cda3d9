/** Watches, from outside, that no worker ever has more in work than its limits permit. */
import { setTimeout as sleep } from 'node:timers/promises';
import { metricIn, type Worker } from '../../dev/workers.js';

const EVERY_MS = 250;
/** A worker that is being killed does not answer; neither does one whose processor is busy. */
const SAMPLE_LIMIT_MS = 2_000;
const GAUGES = { jobsActive: 'imagen_jobs_active', decodedBytes: 'imagen_decoded_bytes' } as const;

/** Samples until the signal. @returns of each gauge its peak, its limit, and how many samples were above that */
export async function watchLimits(workers: () => readonly Worker[], signal: AbortSignal) {
  let samples = 0;
  const peaks = { jobsActive: { peak: 0, limit: NaN, above: 0 }, decodedBytes: { peak: 0, limit: NaN, above: 0 } };
  const sample = async (worker: Worker) => {
    const text = await worker.metrics(SAMPLE_LIMIT_MS).catch(() => undefined); // it is gone, and its successor is next
    if (text === undefined) return;
    samples++;
    for (const [key, gauge] of Object.entries(GAUGES) as [keyof typeof GAUGES, string][]) {
      const [value, limit] = [metricIn(text, gauge), metricIn(text, `${gauge}_limit`)];
      const known = peaks[key];
      known.limit = limit;
      known.peak = Math.max(known.peak, value);
      if (!(value <= limit)) known.above++;
    }
  };
  while (!signal.aborted) {
    await Promise.all(workers().map(sample));
    await sleep(EVERY_MS);
  }
  return { samples, ...peaks };
}
