import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { JobError, type ModelNeed } from '../../../src/domain/errors.js';
import type { Delivery, ModelServer } from '../../../src/domain/ports.js';
import { createAvailability } from '../../../src/scheduling/availability.js';
import { createBuckets } from '../../../src/scheduling/buckets.js';
import type { Worker } from '../../../src/worker/context.js';
import { deferredAttributes } from '../../../src/worker/defer.js';
import { receive } from '../../../src/worker/message.js';
import { absenceOf } from '../../../src/worker/put-back.js';
import { createSightings } from '../../../src/worker/sightings.js';
import { memoryModels } from '../../support/memory-models.js';
import { memoryStore } from '../../support/memory-store.js';

const signal = new AbortController().signal;
const HOUR_MS = 3_600_000;
const places = { statePrefix: 'gs://s', outputPrefix: 'gs://o', allowedInputs: ['gs://in/a'], allowedOutputs: [] };

describe('what is away, and for how long', () => {
  let memory: ReturnType<typeof memoryStore>;
  let buckets: ReturnType<typeof createBuckets>;
  let brokenModels: string[];
  let worker: Worker;
  let models: ModelServer;

  beforeEach(() => {
    memory = memoryStore();
    buckets = createBuckets(memory.store, places);
    brokenModels = [];
    const broken = (needs: readonly ModelNeed[]) => {
      const need = needs.find(({ name }) => brokenModels.includes(name));
      return need && { need, reason: 'down' };
    };
    const circuits = { broken, refuse: broken, mayTry: () => false };
    const availability = createAvailability({ circuits, buckets });
    worker = { parts: { availability }, sightings: createSightings() } as unknown as Worker;
    models = availability.watch(memoryModels([], undefined, { infer: () => Promise.resolve({} as never) }));
  });
  afterEach(() => buckets.close());

  const read = (name: string) => buckets.watch(memory.store).read({ bucket: 'in', name }, { maxBytes: 1, signal });
  const errorOf = async (promise: Promise<unknown>): Promise<Error> =>
    promise.then(
      () => expect.fail(),
      (error: unknown) => error as Error,
    );
  const noVersion = (version: string) =>
    new JobError('MODEL_UNAVAILABLE', 'down', { needs: { kind: 'model', name: 'up', version } });
  const answer = (version: string) => models.infer({ model: 'up', version } as never, signal);

  /** A delivery that was put back an hour ago for the same. */
  function putBackFor(error: Error, awayMs = HOUR_MS): Delivery {
    const plain = { messageId: 'm', data: Buffer.alloc(0), attributes: {}, attempt: 1, publishedAt: new Date() };
    const { missing } = absenceOf(worker, receive(plain), error);
    return { ...plain, attributes: deferredAttributes(plain, { error, missing, awayMs, counts: false }) };
  }
  const absence = (delivery: Delivery, error: Error) => {
    const { missing, awayMs } = absenceOf(worker, receive(delivery), error);
    return [missing, Math.floor(awayMs / HOUR_MS)];
  };

  it('is one object, whose time its neighbours do not reset, where its place can be used', async () => {
    const fails = (name: string) =>
      memory.fail((_, uri) => {
        if (uri.endsWith(name)) throw new JobError('STORAGE_UNAVAILABLE', 'denied');
      });
    fails('secret');
    const error = await errorOf(read('a/secret'));
    const delivery = putBackFor(error);
    await read('a/neighbour');
    expect(absence(delivery, error)).toEqual(['object a/secret of read bucket in/a', 1]);
    fails('other');
    expect(absence(delivery, await errorOf(read('a/other')))).toEqual(['object a/other of read bucket in/a', 0]);
  });

  it('is the place where that is known to be away, which any use of it resets', async () => {
    memory.fail(() => {
      throw new JobError('STORAGE_UNAVAILABLE', 'away');
    });
    const error = await errorOf(read('a/x'));
    await buckets.checkAll();
    const delivery = putBackFor(error);
    expect(absence(delivery, error)).toEqual(['read bucket in/a', 1]);
    memory.fail(undefined);
    await buckets.checkAll();
    // The outage is over, and what is away now is another thing.
    expect(absence(delivery, error)).toEqual(['object a/x of read bucket in/a', 0]);
    await read('a/y');
    memory.fail(() => {
      throw new JobError('STORAGE_UNAVAILABLE', 'away');
    });
    await buckets.checkAll();
    expect(absence(delivery, error)).toEqual(['read bucket in/a', 0]);
  });

  it('is one version, whose time other versions do not reset, nor the times when the whole model is away', async () => {
    const delivery = putBackFor(noVersion('3'));
    await answer('2');
    expect(absence(delivery, noVersion('3'))).toEqual(['version 3 of model up', 1]);
    brokenModels = ['up'];
    expect(absence(delivery, noVersion('3'))).toEqual(['version 3 of model up', 1]);
    brokenModels = [];
    await answer('3');
    expect(absence(delivery, noVersion('3'))).toEqual(['version 3 of model up', 0]);
  });

  it('is known for the time in the backlog where other jobs have found the same away meanwhile', () => {
    vi.useFakeTimers();
    const error = noVersion('3');
    const delivery = putBackFor(error);
    for (let minutes = 0; minutes < 120; minutes++) {
      vi.advanceTimersByTime(60_000);
      absenceOf(worker, receive(delivery), error);
    }
    expect(absence(delivery, error)).toEqual(['version 3 of model up', 3]);
    // This worker has not heard of it for two hours.
    vi.advanceTimersByTime(2 * HOUR_MS);
    expect(absence(delivery, error)).toEqual(['version 3 of model up', 1]);
    vi.useRealTimers();
  });
});
