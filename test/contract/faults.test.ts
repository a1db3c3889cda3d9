/** Each connection through a proxy that does it harm: nothing outlives its limit by more than a second, and it works again afterwards. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FaultProxy } from '../../scripts/faults/proxy.js';
import { createStorageClient } from '../../src/adapters/gcs/client.js';
import { createObjectStore } from '../../src/adapters/gcs/store.js';
import { createPubSubClient } from '../../src/adapters/pubsub/client.js';
import { createPublisher } from '../../src/adapters/pubsub/publisher.js';
import { createJobSource } from '../../src/adapters/pubsub/source.js';
import { connectTriton, type Triton } from '../../src/adapters/triton/server.js';
import type { JobSource, ObjectStore, Publisher } from '../../src/domain/ports.js';
import { createTensor } from '../../src/domain/tensor.js';
import { retryingStore } from '../../src/pipeline/retry.js';
import { createScene, type Scene, until } from '../support/scene.js';

const SLACK_MS = 1_000;
const patient = new AbortController().signal;

/** @returns how it ended: the code of the error, or `ok`; checks that it took no longer than the limit and a second */
async function endOf(limitMs: number, promise: Promise<unknown>): Promise<string> {
  const begun = performance.now();
  const end = await promise.then(
    () => 'ok',
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  );
  expect(performance.now() - begun).toBeLessThan(limitMs + SLACK_MS);
  return end;
}

describe('Cloud Storage', () => {
  const LIMITS = { requestMs: 700, idleMs: 700 };
  const picture = randomBytes(400_000);
  let scene: Scene;
  let proxy: FaultProxy;
  let store: ObjectStore;
  let retrying: ObjectStore;
  const input = () => ({ bucket: `uploads-${scene.id}`, name: 'a.png' });
  const output = (name: string) => ({ bucket: `results-${scene.id}`, name });
  const read = (from: ObjectStore) => from.read(input(), { maxBytes: 1_000_000, signal: patient });
  const create = (to: ObjectStore, name: string) =>
    to.create(output(name), picture, { contentType: 'image/png', signal: patient });

  beforeEach(async () => {
    scene = await createScene();
    await scene.upload('a.png', picture);
    const { STORAGE_EMULATOR_HOST, GOOGLE_CLOUD_PROJECT: projectId } = scene.env;
    proxy = await FaultProxy.before(new URL(STORAGE_EMULATOR_HOST).host);
    store = createObjectStore(createStorageClient({ projectId, emulator: `http://${proxy.address}` }), LIMITS);
    retrying = retryingStore(store, { unavailableMs: 10_000, failedAttempts: 1 });
    // Four connections that will be idle when the harm is done.
    await Promise.all([1, 2, 3, 4].map(() => read(store)));
  });
  afterEach(async () => {
    proxy.close();
    await scene.close();
  });

  const worksAgain = async () => {
    expect(await read(retrying)).toMatchObject({ kind: 'found', bytes: picture });
    expect(await create(retrying, 'again')).toMatchObject({ kind: 'created' });
  };

  it('black hole, of the open connections: one attempt is lost, and the next has a new one', async () => {
    proxy.blackHole();
    expect(await endOf(LIMITS.requestMs, store.stat(input(), patient))).toBe('STORAGE_UNAVAILABLE');
    expect(await endOf(100, store.stat(input(), patient))).toBe('ok');
    proxy.blackHole();
    expect(await endOf(LIMITS.requestMs + 400, create(store, 'b'))).toBe('STORAGE_UNAVAILABLE');
    await worksAgain();
  });

  it('black hole, of new connections too', async () => {
    proxy.blackHole('swallow');
    const ends = [
      endOf(LIMITS.requestMs, store.stat(input(), patient)),
      endOf(LIMITS.requestMs, read(store)),
      endOf(LIMITS.requestMs + 400, create(store, 'b')),
    ];
    expect(await Promise.all(ends)).toEqual(Array(3).fill('STORAGE_UNAVAILABLE'));
    // Requests that were given up do not keep their connections.
    await until(() => proxy.counts.swallowed === 0 || proxy.open === proxy.counts.blackHoled, 2_000);
    proxy.heal();
    await worksAgain();
  });

  it('a body that is cut, and one that stalls', async () => {
    proxy.cutNext(200_000);
    expect(await endOf(LIMITS.requestMs + LIMITS.idleMs, read(store))).toBe('STORAGE_UNAVAILABLE');
    expect(proxy.counts.cut).toBe(1);
    await worksAgain();

    proxy.cutNext(200_000);
    expect(await read(retrying)).toMatchObject({ kind: 'found', bytes: picture });
    proxy.stall(3_000);
    expect(await endOf(LIMITS.requestMs, read(store))).toBe('STORAGE_UNAVAILABLE');
    await worksAgain();
  });

  it('reset in the middle, and connecting refused', async () => {
    const many = Array.from({ length: 8 }, (_, i) => create(retrying, `r-${i}`));
    await sleep(20);
    proxy.reset();
    expect(new Set((await Promise.all(many)).map(({ kind }) => kind)).size).toBeGreaterThan(0);

    const over = proxy.refuse(1_000);
    proxy.reset();
    expect(await endOf(200, store.stat(input(), patient))).toBe('STORAGE_UNAVAILABLE');
    await worksAgain();
    await over;
  });

  it('a request that storage finds wrong fails where it was made', async () => {
    const wrong = store.create({ bucket: 'NOT A BUCKET', name: '' }, picture, { contentType: 'x', signal: patient });
    expect(await endOf(LIMITS.requestMs + 400, wrong)).not.toBe('ok');
  });
});

describe('Pub/Sub', () => {
  const PINGS = { everyMs: 1_000, answerMs: 1_000 };
  const LIMIT_MS = 1_500;
  let scene: Scene;
  let proxy: FaultProxy;
  let source: JobSource;
  let publisher: Publisher;
  let seen: string[];
  const clients: { close(): Promise<void> }[] = [];

  beforeEach(async () => {
    scene = await createScene();
    proxy = await FaultProxy.before(scene.env.PUBSUB_EMULATOR_HOST);
    const connect = () => {
      const client = createPubSubClient({
        ...{ projectId: scene.env.GOOGLE_CLOUD_PROJECT, emulator: proxy.address, pings: PINGS },
      });
      clients.push(client);
      return client;
    };
    seen = [];
    source = createJobSource(connect(), scene.env.IMAGEN_JOBS_SUBSCRIPTIONS, {
      ...{ maxMessages: 10, maxExtensionSeconds: 60, onError: () => undefined },
    });
    source.start((delivery) => {
      seen.push(delivery.data.toString());
      return Promise.resolve('ack');
    });
    publisher = createPublisher(connect(), scene.env.IMAGEN_JOBS_TOPIC, LIMIT_MS);
    await flows('first', 10_000);
  });
  afterEach(async () => {
    await source.stop(1_000);
    proxy.close();
    for (const client of clients.splice(0)) await client.close();
    await scene.close();
  });

  /** A message published past the proxy comes through it. @returns after how many milliseconds */
  async function flows(text: string, limitMs: number): Promise<number> {
    const begun = performance.now();
    await scene.publishRaw(text);
    await until(
      () => seen.includes(text),
      limitMs,
      () => `${text} among ${seen.join()}`,
    );
    return performance.now() - begun;
  }
  const publish = (text: string) => publisher.publish(Buffer.from(text), {});

  it('black hole: a dead stream is noticed, and messages flow again', async () => {
    proxy.blackHole();
    const ms = await flows('after', 20_000);
    process.stderr.write(`black-holed stream: flows again after ${ms} ms\n`);
  });

  it('black hole: a publish settles within its limit, and the next works', async () => {
    await publish('before');
    proxy.blackHole();
    expect(await endOf(LIMIT_MS, publish('lost'))).not.toBe('ok');
    expect(await endOf(LIMIT_MS, publish('next'))).toBe('ok');
    await until(() => seen.includes('next'), 20_000);
  });

  it('black hole of new connections too, until it heals', async () => {
    proxy.blackHole('swallow');
    expect(await endOf(LIMIT_MS, publish('lost'))).not.toBe('ok');
    await sleep(3_000);
    proxy.heal();
    await flows('healed', 20_000);
    expect(await endOf(LIMIT_MS, publish('next'))).toBe('ok');
  });

  it('reset, stall and refusal: it goes on by itself', async () => {
    proxy.reset();
    await flows('reset', 15_000);
    proxy.stall(1_500);
    await flows('stalled', 15_000);
    void proxy.refuse(1_000);
    proxy.reset();
    await flows('refused', 15_000);
    expect(await endOf(LIMIT_MS, publish('next'))).toBe('ok');
  });

  it('is not taken for an attacker by an emulator that has nothing to say', async () => {
    const before = proxy.counts.accepted;
    await sleep(6 * PINGS.everyMs);
    expect(await flows('idle', 1_000)).toBeLessThan(1_000);
    expect(proxy.counts.accepted).toBe(before);
  });
});

describe.each(['unary', 'stream', 'shm'] as const)('Triton by %s', (transport) => {
  const LIMIT_MS = 800;
  let proxy: FaultProxy;
  let triton: Triton;
  const image = createTensor('image', 'UINT8', [256, 256, 3], randomBytes(256 * 256 * 3));
  const infer = (model = 'echo', parameters = {}) =>
    triton.infer({ model, version: '1', inputs: [image], output: 'image', priority: 'batch', parameters }, patient);
  const worksAgain = () =>
    expect
      .poll(() => infer().then(({ output }) => output.data.equals(image.data), String), { timeout: 10_000 })
      .toBe(true);

  beforeEach(async () => {
    const { inject } = await import('vitest');
    proxy = await FaultProxy.before(inject('stack').env.TRITON_URL);
    triton = connectTriton({ url: proxy.address, transport, inferTimeoutMs: LIMIT_MS, pollMs: 200 });
    await triton.refresh(patient);
    await infer();
  });
  afterEach(async () => {
    await triton.close();
    proxy.close();
  });

  it('black hole', async () => {
    proxy.blackHole();
    const ends = [1, 2, 3].map(() => endOf(LIMIT_MS, infer()));
    expect(await Promise.all(ends)).toEqual(Array(3).fill('MODEL_UNAVAILABLE'));
    await worksAgain();
  });

  it('stall', async () => {
    proxy.stall(2_000);
    expect(await endOf(LIMIT_MS, infer())).toBe('MODEL_UNAVAILABLE');
    await worksAgain();
  });

  it('cut answer and reset', async () => {
    proxy.cutNext(transport === 'shm' ? 50 : 20_000);
    expect(await endOf(LIMIT_MS, infer())).toBe('MODEL_UNAVAILABLE');
    await worksAgain();
    const underWay = endOf(LIMIT_MS, infer('sleep', { ms: 500 }));
    await sleep(100);
    proxy.reset();
    expect(await underWay).toBe('MODEL_UNAVAILABLE');
    await worksAgain();
  });

  it('refusal: full rate is back within two seconds', async () => {
    const over = proxy.refuse(2_000);
    proxy.reset();
    expect(await endOf(LIMIT_MS, infer())).toBe('MODEL_UNAVAILABLE');
    await over;
    const begun = performance.now();
    await worksAgain();
    expect(performance.now() - begun).toBeLessThan(2_000);
  });
});
