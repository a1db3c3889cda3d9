/** What Triton serves and how it batches, asked once a second. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ModelServer } from '../../../../src/domain/ports.js';
import { metricIn } from '../../workers.js';
import { createBatches } from './batches.js';

const EVERY_MS = 1_000;

/** Resolves when it has asked once; from there on batches count. @param metrics address of a worker's metrics */
export async function watchTriton(server: ModelServer, metrics: string | undefined, onChange: () => void) {
  const batches = createBatches();
  const stopped = new AbortController();
  let view: Awaited<ReturnType<typeof look>> = { answers: false, models: [], batches: [] };

  async function look() {
    const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(5_000)]);
    const models = [...server.contracts().keys()].sort();
    const said = await Promise.allSettled(
      models.map(async (model) => batches.add(model, await server.statistics(model, signal), performance.now())),
    );
    const inFlight = await requestsInFlight(metrics, signal);
    return {
      answers: said.length > 0 && said.every(({ status }) => status === 'fulfilled'),
      models,
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
  await server.refresh(AbortSignal.timeout(10_000)).catch(() => undefined); // shown as not answering
  await ask();
  again().catch(() => undefined); // stopped
  return { view: () => view, stop: () => stopped.abort() };
}

async function requestsInFlight(metrics: string | undefined, signal: AbortSignal): Promise<(model: string) => number> {
  const asked = metrics === undefined ? undefined : fetch(metrics, { signal }).then((answer) => answer.text());
  const text = await asked?.catch(() => undefined);
  return (model) => {
    const count = text ? metricIn(text, 'imagen_inference_in_flight', { model }) : 0;
    return Number.isNaN(count) ? 0 : count;
  };
}
