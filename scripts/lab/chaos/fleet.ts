/** Workers that are started again as soon as one has ended, as a deployment does. */
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../../dev/until.js';
import { metricIn, type Worker } from '../../dev/workers.js';

/** A worker that ended without a signal, or with a wrong exit code or too late. */
export interface BadEnd {
  readonly worker: number;
  readonly how: string;
}

export type Fleet = ReturnType<typeof startFleet>;

const AGAIN_MS = 200;
/** A worker that starts while completions are refused, or while Triton is away, is ready only after that. */
const READY_LIMIT_MS = 180_000;

/** @param drainMs the limit for an exit after SIGTERM. @param isCrash whether a process has died of a job on purpose */
export function startFleet(
  size: number,
  spawn: (worker: number) => Promise<Worker>,
  drainMs: number,
  isCrash: (pid: number) => boolean,
) {
  const up = new Set<Worker>();
  const killed = new Set<number>();
  const terminated = new Map<number, number>();
  const badEnds: BadEnd[] = [];
  const bad = (worker: number, how: string) => badEnds.push({ worker, how });
  const stopping = new AbortController();
  const isOver = () => stopping.signal.aborted;

  async function keepUp(place: number): Promise<void> {
    while (!isOver()) {
      const worker = await spawn(place);
      const isReady = await worker.untilReady(READY_LIMIT_MS);
      if (isReady) up.add(worker);
      if (isReady && isOver()) terminate(worker);
      const { code, signal } = await worker.exit;
      up.delete(worker);
      if (isReady) {
        judge(place, worker.pid, code, signal);
      } else {
        // One that dies of its first job may do so before it is seen to be ready.
        if (!isCrash(worker.pid)) bad(place, `did not start\n${worker.lastLog()}`);
        await sleep(AGAIN_MS);
      }
    }
  }

  function judge(place: number, pid: number, code: number | null, signal: NodeJS.Signals | null): void {
    const askedAt = terminated.get(pid);
    if (signal === 'SIGKILL' && (killed.has(pid) || isCrash(pid))) return;
    if (askedAt === undefined) bad(place, `ended by itself: ${signal ?? code ?? ''}`);
    else if (code !== 0) bad(place, `exited with ${signal ?? code ?? ''} after SIGTERM`);
    else if (performance.now() - askedAt > drainMs) bad(place, 'exited too late after SIGTERM');
  }

  function terminate(worker: Worker): void {
    terminated.set(worker.pid, performance.now());
    worker.signal('SIGTERM');
  }

  const places = Array.from({ length: size }, (_, place) => keepUp(place));
  return {
    up: (): readonly Worker[] => [...up],
    badEnds: badEnds as readonly BadEnd[],
    /** Signals one that is ready; waits for one if there is none. @param dice from 0 to 1: which */
    async signal(name: 'SIGKILL' | 'SIGTERM', dice: number): Promise<void> {
      const worker = await until(() => {
        const free = [...up].filter(({ pid }) => !terminated.has(pid) && !killed.has(pid));
        return free[Math.floor(dice * free.length)];
      });
      if (name === 'SIGKILL') {
        killed.add(worker.pid);
        worker.signal(name);
      } else {
        terminate(worker);
      }
    },
    /** Ends all by SIGTERM and starts none again. */
    async stop(): Promise<void> {
      stopping.abort();
      for (const worker of up) if (!terminated.has(worker.pid)) terminate(worker);
      await Promise.all(places);
    },
    /** How many of the killed have been killed by `signal`. @param crashed process ids of those that died of a job */
    killed: (crashed: ReadonlySet<number>): number => [...killed].filter((pid) => !crashed.has(pid)).length,
    terminated: () => terminated.size,
  };
}

const EVERY_MS = 250;
/** A worker that is being killed does not answer; neither does one whose processor is busy. */
const SAMPLE_LIMIT_MS = 2_000;
const GAUGES = { jobsActive: 'imagen_jobs_active', decodedBytes: 'imagen_decoded_bytes' } as const;

/** Whether a worker has no job, in work or waiting. One that does not answer has some. */
export async function isIdle(worker: Worker): Promise<boolean> {
  const text = await worker.metrics(SAMPLE_LIMIT_MS).catch(() => '');
  return metricIn(text, 'imagen_jobs_active') + metricIn(text, 'imagen_jobs_waiting') === 0;
}

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
