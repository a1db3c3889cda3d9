/** What Triton serves and how it batches, asked once a second. */
import type { ModelServer } from '../../../../src/domain/ports.js';
import { metricIn } from '../../workers.js';
import { createBatches, type ModelBatches } from './batches.js';

export interface TritonView {
  readonly answers: boolean;
  /** What a job may ask for, by name. */
  readonly models: readonly string[];
  /** Of models that have run, or are about to. */
  readonly batches: readonly (ModelBatches & {
    /** Requests of the worker's that wait for an answer. */
    readonly inFlight: number;
  })[];
}

export interface TritonWatchOptions {
  /** Address of a worker's metrics. */
  readonly metrics?: string | undefined;
  readonly onChange: () => void;
  readonly everyMs?: number;
}

/** Resolves when it has asked once; from there on batches count. */
export async function watchTriton(server: ModelServer, { metrics, onChange, everyMs = 1_000 }: TritonWatchOptions) {
  const batches = createBatches();
  const stopped = new AbortController();
  let view: TritonView = { answers: false, models: [], batches: [] };
  let timer: NodeJS.Timeout | undefined;

  async function ask(): Promise<void> {
    const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(5_000)]);
    const models = [...server.contracts().keys()].sort();
    const said = await Promise.allSettled(
      models.map(async (model) => batches.add(model, await server.statistics(model, signal), performance.now())),
    );
    const inFlight = await requestsInFlight(metrics, signal);
    const next: TritonView = {
      answers: said.length > 0 && said.every(({ status }) => status === 'fulfilled'),
      models,
      batches: batches
        .view()
        .map((one) => ({ ...one, inFlight: inFlight(one.model) }))
        .filter(({ sizes, inFlight: flying }) => sizes.length > 0 || flying > 0),
    };
    const isNew = JSON.stringify(next) !== JSON.stringify(view);
    view = next;
    if (isNew) onChange();
  }

  const again = async () => {
    await ask();
    if (!stopped.signal.aborted) timer = setTimeout(() => void again(), everyMs);
  };
  await server.refresh(AbortSignal.timeout(10_000)).catch(() => undefined); // shown as not answering
  await again();
  return {
    view: () => view,
    stop() {
      clearTimeout(timer);
      stopped.abort();
    },
  };
}

/** Of a worker that does not answer, none is known. */
async function requestsInFlight(metrics: string | undefined, signal: AbortSignal): Promise<(model: string) => number> {
  const text =
    metrics &&
    (await fetch(metrics, { signal })
      .then((answer) => answer.text())
      .catch(() => undefined));
  return (model) => {
    const count = text ? metricIn(text, 'imagen_inference_in_flight', { model }) : 0;
    return Number.isNaN(count) ? 0 : count;
  };
}
