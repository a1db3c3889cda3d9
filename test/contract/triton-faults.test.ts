/**
 * Triton through a proxy that does harm to its connection: no inference outlives its limit by more than a second, and
 * the next ones work.
 *
 * Triton 2.51 itself sometimes dies of a connection that breaks under an answer (server issues 7368 and 7472). It is then
 * started anew, as Kubernetes would, and the worker must find it again.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FaultProxy } from '../../scripts/lab/faults/proxy.js';
import { connectTriton, type Triton } from '../../src/adapters/triton/server.js';
import type { JobError } from '../../src/domain/errors.js';
import { createTensor } from '../../src/domain/tensor.js';
import { endOf } from '../support/bounded.js';
import { OwnTriton } from '../support/own-triton.js';

const patient = new AbortController().signal;
const server = new OwnTriton('faults');
beforeAll(() => server.start());
afterAll(() => server.down());

describe.each(['unary', 'stream', 'shm'] as const)('Triton by %s', (transport) => {
  const LIMIT_MS = 800;
  /** A request is on its way by then, in milliseconds. Triton does not say what it has received before it has answered. */
  const SENT_MS = 100;
  let proxy: FaultProxy;
  let triton: Triton;
  const image = createTensor('image', 'UINT8', [256, 256, 3], randomBytes(256 * 256 * 3));
  const infer = (model = 'echo', parameters = {}) =>
    triton.infer({ model, version: '1', inputs: [image], output: 'image', priority: 'batch', parameters }, patient);
  const worksAgain = async () => {
    await server.revive();
    const answer = () => infer().then(({ output }) => output.data.equals(image.data), String);
    await expect.poll(answer, { timeout: 10_000 }).toBe(true);
  };

  beforeEach(async () => {
    proxy = await FaultProxy.before(server.url);
    triton = connectTriton({
      url: proxy.address,
      transport,
      inferTimeoutMs: LIMIT_MS,
      controlTimeoutMs: 500,
      pollMs: 200,
    });
    triton.start();
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
    proxy.stall(1_500);
    expect(await endOf(LIMIT_MS, infer())).toBe('MODEL_UNAVAILABLE');
    await worksAgain();
  });

  it('cut answer and reset', async () => {
    proxy.cutNext(transport === 'shm' ? 50 : 20_000);
    expect(await endOf(LIMIT_MS, infer())).toBe('MODEL_UNAVAILABLE');
    await worksAgain();
    const underWay = endOf(LIMIT_MS, infer('sleep', { ms: 500 }));
    await sleep(SENT_MS);
    proxy.reset();
    expect(await underWay).toBe('MODEL_UNAVAILABLE');
    await worksAgain();
  });

  it('tells a request that got no answer, of a server that answers others, from an outage', async () => {
    const end = (inference: Promise<unknown>) =>
      inference.then(
        () => 'answered',
        (error: unknown) => (error as JobError).unanswered ?? (error as JobError).code,
      );
    expect(await end(infer('sleep', { ms: 2_500 }))).toBe('late');
    const underWay = end(infer('sleep', { ms: 500 }));
    await sleep(SENT_MS);
    proxy.reset();
    expect(await underWay).toBe('lost');
    await worksAgain();
    proxy.blackHole();
    expect(await end(infer())).toBe('MODEL_UNAVAILABLE');
    await worksAgain();
    const over = proxy.refuse(500);
    proxy.reset();
    await expect.poll(() => end(infer()), { interval: 10, timeout: 400 }).toBe('MODEL_UNAVAILABLE');
    await over;
    await worksAgain();
  });

  it('refusal: full rate is back within two seconds', async () => {
    const over = proxy.refuse(1_500);
    proxy.reset();
    expect(await endOf(LIMIT_MS, infer())).toBe('MODEL_UNAVAILABLE');
    await over;
    const begun = performance.now();
    await worksAgain();
    expect(performance.now() - begun).toBeLessThan(2_000);
  });
});
