/** Measures what executions of one shape cost: requests sent together, and what Triton counted of them. */
import { randomFillSync } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { capacityOf } from '../../domain/capacity.js';
import type { ModelServer, VersionStatistics } from '../../domain/ports.js';
import type { Shape } from '../../pipeline/plans/plan.js';
import type { Routed } from '../../pipeline/routed.js';
import { ask } from '../../pipeline/transform.js';
import type { FairShare } from '../../scheduling/fair-share.js';
import { mostInRun } from '../../scheduling/next-run.js';
import { type Batch, batchesBetween, mergeBatches } from './costs.js';

export interface Executions {
  /** What Triton made of the requests, in ascending order of batch size. */
  readonly batches: readonly Batch[];
  /** How long a group of requests took that were sent together, as seen from here: the network and all queues included. */
  readonly groups: readonly { readonly requests: number; readonly times: number; readonly meanMs: number }[];
  /** Requests that this process had answered, and those that Triton counted in the same time. */
  readonly answered: number;
  readonly counted: number;
}

/** How long Triton may take to count what it has answered. */
const COUNT_POLL_MS = 20;
const COUNT_POLLS = 10;

/**
 * Sizes of the groups: 1, 2, 4, … up to the most that share a batch, and two full batches, as many as a worker keeps in
 * flight. Several instances get a group each, so that they compute at the same time, as they do under load.
 */
export function groupSizes(most: number, instances: number): number[] {
  const sizes: number[] = [];
  for (let size = 1; size < most; size *= 2) sizes.push(size);
  return [...sizes, most, 2 * most].map((size) => size * instances);
}

/**
 * Sends groups in ascending order, again and again until the time is over. The first request is not measured, because
 * engines may prepare themselves for a new shape. The smallest group is measured at least once, however long it takes;
 * a group that would not end in time is left out.
 * @param until by `performance.now()`
 * @throws JobError; the signal's reason
 */
export async function measureExecutions(
  { models, share }: { readonly models: ModelServer; readonly share: FairShare },
  routed: Routed,
  shape: Shape,
  until: number,
  signal: AbortSignal,
): Promise<Executions> {
  const { model, version } = routed;
  const capacity = capacityOf(model);
  const send = sender({ models, share }, routed, shape, signal);
  const idle = await readVersion(models, model.model, version, signal);
  await send(1);
  const groups = new Map<number, { times: number; ms: number }>();
  let batches: Batch[] = [];
  let [answered, counted, msPerRequest] = [0, 0, 0];
  let before = await readCounted(models, model.model, version, (idle?.requests ?? 0) + 1, signal);
  do {
    for (const size of groupSizes(mostInRun({ shape }, capacity), capacity.instances)) {
      const startedAt = performance.now();
      if (answered > 0 && startedAt + size * msPerRequest > until) break;
      await send(size);
      const tookMs = performance.now() - startedAt;
      msPerRequest = tookMs / size;
      const group = groups.get(size) ?? { times: 0, ms: 0 };
      groups.set(size, { times: group.times + 1, ms: group.ms + tookMs });
      const after = await readCounted(models, model.model, version, (before?.requests ?? 0) + size, signal);
      if (after) batches = mergeBatches([...batches, ...batchesBetween(before, after)]);
      answered += size;
      counted += Math.max(0, (after?.requests ?? 0) - (before?.requests ?? 0));
      before = after;
    }
  } while (performance.now() + msPerRequest * capacity.instances < until);
  const means = [...groups].map(([requests, { times, ms }]) => ({ requests, times, meanMs: ms / times }));
  return { batches, groups: means, answered, counted };
}

/** Sends requests of the shape together, each as a job of its own, and waits for all answers. */
function sender(
  { models, share }: { readonly models: ModelServer; readonly share: FairShare },
  routed: Routed,
  shape: Shape,
  signal: AbortSignal,
): (requests: number) => Promise<void> {
  const { model, version } = routed;
  setMaxListeners(0, signal); // every request in flight adds listeners
  const rgb = randomFillSync(Buffer.allocUnsafe(shape.width * shape.height * 3));
  const view = { x: 0, y: 0, width: shape.width, height: shape.height, rgb };
  const request = { model: model.model, version, priority: 'batch', shape } as const;
  return async (requests) => {
    const answers = Array.from({ length: requests }, () =>
      share.scheduler({})(
        request,
        (_window, { copies }) => ask(view, view, { routed }, copies, { models, priority: 'batch' }, signal),
        signal,
      ),
    );
    // All must have settled before the next group, even if one fails.
    const failed = (await Promise.allSettled(answers)).find(({ status }) => status === 'rejected');
    if (failed?.status === 'rejected') throw failed.reason;
  };
}

/** @returns undefined if the server has no counts of the version */
export async function readVersion(
  models: ModelServer,
  model: string,
  version: string,
  signal: AbortSignal,
): Promise<VersionStatistics | undefined> {
  return (await models.statistics(model, signal)).find((one) => one.version === version);
}

/** Reads the counts again until they have that many requests, but not for long: another replica may have answered. */
async function readCounted(models: ModelServer, model: string, version: string, requests: number, signal: AbortSignal) {
  for (let polls = 0; ; polls++) {
    const read = await readVersion(models, model, version, signal);
    if ((read && read.requests >= requests) || polls >= COUNT_POLLS) return read;
    await sleep(COUNT_POLL_MS, undefined, { signal });
  }
}
