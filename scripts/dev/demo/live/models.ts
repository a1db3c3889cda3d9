/** What Triton serves and how it batches, and whether the demo's worker answers: asked once a second. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ModelServer, VersionStatistics } from '../../../../src/domain/ports.js';
import { metricIn } from '../../workers.js';

const EVERY_MS = 1_000;
const LIMIT_MS = 5_000;
/** Looks after which the list of models is read again, because somebody may have loaded one. */
const REFRESH_EVERY = 5;
/** Looks in a row without an answer after which a worker counts as gone. */
const SILENT_AFTER = 2;

/** Resolves when it has asked once; from there on batches count. @param metrics address of a worker's metrics */
export async function watchModels(server: ModelServer, metrics: string | undefined, onChange: () => void) {
  const batches = createBatches();
  const stopped = new AbortController();
  let view: Awaited<ReturnType<typeof look>> = { answers: false, models: [], batches: [], worker: true };
  let looks = 0;
  let silent = 0;

  async function look() {
    const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(LIMIT_MS)]);
    // A server that does not answer is shown as such.
    if (!view.answers || looks++ % REFRESH_EVERY === 0) await server.refresh(signal).catch(() => undefined);
    const models = [...server.contracts().keys()].sort();
    const said = await Promise.allSettled(
      models.map(async (model) => batches.add(model, await server.statistics(model, signal), performance.now())),
    );
    const text = await textOf(metrics, signal);
    silent = text === undefined && metrics !== undefined ? silent + 1 : 0;
    const inFlight = requestsInFlight(text);
    return {
      answers: said.length > 0 && said.every(({ status }) => status === 'fulfilled'),
      models,
      worker: silent < SILENT_AFTER,
      /** Of models that have run, or are about to; `inFlight` are requests of the worker's that wait for an answer. */
      batches: batches
        .view()
        .map((one) => ({ ...one, inFlight: inFlight(one.model) }))
        .filter(({ sizes, inFlight: flying }) => sizes.length > 0 || flying > 0),
    };
  }

  const ask = async () => {
    const next = await look();
    const isNew = JSON.stringify(next) !== JSON.stringify(view);
    view = next;
    if (isNew) onChange();
  };
  const again = async () => {
    for (;;) {
      await sleep(EVERY_MS, undefined, { signal: stopped.signal });
      await ask();
    }
  };
  await ask();
  again().catch(() => undefined); // stopped
  return { view: () => view, stop: () => stopped.abort() };
}

async function textOf(metrics: string | undefined, signal: AbortSignal): Promise<string | undefined> {
  if (metrics === undefined) return undefined;
  try {
    return await (await fetch(metrics, { signal })).text();
  } catch {
    return undefined; // it may have ended
  }
}

function requestsInFlight(text: string | undefined): (model: string) => number {
  return (model) => {
    const count = text ? metricIn(text, 'imagen_inference_in_flight', { model }) : 0;
    return Number.isNaN(count) ? 0 : count;
  };
}

interface Tally {
  counted: Map<string, number>;
  readonly bySize: Map<number, number>;
  recent: { readonly at: number; readonly size: number; readonly runs: number }[];
}

export const RECENT_MS = 10_000;

export function createBatches() {
  const tallies = new Map<string, Tally>();

  return {
    /**
     * What the server says now, in any clock's milliseconds. Its first word on a model begins the counting; a count that
     * has become smaller is that of a model loaded anew.
     */
    add(model: string, versions: readonly VersionStatistics[], at: number): void {
      const counted = new Map<string, number>();
      for (const { version, batches } of versions) {
        for (const { batchSize, executions } of batches) counted.set(`${version}/${batchSize}`, executions);
      }
      const tally = tallies.get(model) ?? { counted, bySize: new Map<number, number>(), recent: [] };
      tallies.set(model, tally);
      tally.recent = tally.recent.filter((run) => run.at > at - RECENT_MS);
      for (const [key, count] of counted) {
        const before = tally.counted.get(key) ?? 0;
        const runs = count < before ? count : count - before;
        if (runs === 0) continue;
        const size = Number(key.slice(key.indexOf('/') + 1));
        tally.bySize.set(size, (tally.bySize.get(size) ?? 0) + runs);
        tally.recent.push({ at, size, runs });
      }
      tally.counted = counted;
    },

    /** All models by name: how many runs of each size of a batch, in all and just now; `mean` is requests a run. */
    view() {
      return [...tallies]
        .map(([model, { bySize, recent }]) => {
          const sizes = [...bySize]
            .sort(([a], [b]) => a - b)
            .map(([size, runs]) => ({ size, runs, recent: sum(recent.filter((run) => run.size === size)) }));
          const requests = sizes.reduce((total, { size, runs }) => total + size * runs, 0);
          const mean = sizes.length > 0 ? { mean: requests / sum(sizes) } : {};
          return { model, ...mean, sizes };
        })
        .sort((a, b) => a.model.localeCompare(b.model));
    },
  };
}

const sum = (of: readonly { readonly runs: number }[]): number => of.reduce((total, { runs }) => total + runs, 0);
