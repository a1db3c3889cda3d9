/** The model server's contract, on a real Triton, once for each transport. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { Channel } from '../../src/adapters/triton/channel.js';
import { encodeRequest } from '../../src/adapters/triton/codec.js';
import { RegionPool } from '../../src/adapters/triton/region-pool.js';
import { type InferCall, connectTriton, type Triton } from '../../src/adapters/triton/server.js';
import { sharedMemoryTransport } from '../../src/adapters/triton/shm.js';
import { unaryTransport } from '../../src/adapters/triton/unary.js';
import type { InferenceRequest, InferenceResult } from '../../src/domain/ports.js';
import { createTensor } from '../../src/domain/tensor.js';
import { modelServerContract } from '../support/contracts/model-server.js';

const patient = new AbortController().signal;
/** A request is at the server by then, in milliseconds. Triton does not say what it has received before it has answered. */
const SENT_MS = 100;
/** Requests that wait are in its queue by then, and most of them still wait, in milliseconds. */
const QUEUED_MS = 50;

/** An image that no other request sends: its first bytes tell it apart. */
function picture(seed: number, side = 8) {
  const data = Buffer.alloc(side * side * 3, seed);
  data.writeUInt32LE(seed);
  return createTensor('image', 'UINT8', [side, side, 3], data);
}

const ask = (model: string, more: Partial<InferenceRequest> = {}): InferenceRequest => ({
  ...{ model, version: '1', inputs: [picture(1)], output: 'image', priority: 'batch', parameters: {} },
  ...more,
});

async function timed<T>(promise: Promise<T>): Promise<{ ms: number; outcome: T | { error: unknown } }> {
  const begun = performance.now();
  const outcome = await promise.catch((error: unknown) => ({ error }));
  return { ms: performance.now() - begun, outcome };
}

/** The regions of this process: workers of other files may use the same Triton meanwhile. */
const regions = async (): Promise<{ name: string }[]> => {
  const response = await fetch(`http://127.0.0.1:${inject('stack').ports.tritonHttp}/v2/systemsharedmemory/status`);
  const all = (await response.json()) as { name: string }[];
  return all.filter(({ name }) => name.includes(`.${process.pid}.`));
};

describe.each(['unary', 'stream', 'shm'] as const)('inference by %s', (transport) => {
  let triton: Triton;
  const connect = (inferTimeoutMs = 30_000) =>
    connectTriton({ url: inject('stack').env.TRITON_URL, transport, inferTimeoutMs });
  const infer = (request: InferenceRequest, signal = patient) => triton.infer(request, signal);

  beforeAll(async () => {
    triton = connect();
    await triton.refresh(patient);
  });
  afterAll(() => triton.close());

  modelServerContract(() => triton);

  it('reads the contracts', () => {
    expect([...triton.contracts().keys()]).toEqual(expect.arrayContaining(['echo', 'sleep', 'single']));
    expect(triton.contracts().get('single')).toMatchObject({ output: 'mask', maxBatchSize: 0, instances: 2 });
  });

  it('infers with a model that does no batching, and gives a mask', async () => {
    const { output } = await infer(ask('single', { inputs: [picture(9)], output: 'mask' }));
    expect(output).toMatchObject({ name: 'mask', shape: [8, 8, 1] });
    expect(output.data.at(-1)).toBe(9);
  });

  it('brings each of 20 answers at once to its own caller', async () => {
    const images = Array.from({ length: 20 }, (_, i) => picture(i + 1, 8 + 8 * (i % 3)));
    const answers = await Promise.all(
      images.map((image, i) => infer(ask(i % 2 ? 'echo' : 'sleep', { inputs: [image] }))),
    );
    expect(answers.map(({ output }) => output)).toEqual(images);
  });

  it('carries 12 MB there and back', async () => {
    const image = picture(3, 2000);
    const { output } = await infer(ask('echo', { inputs: [image] }));
    expect(output.data.equals(image.data)).toBe(true);
  });

  it('lets the failure of one request alone be that', async () => {
    const [failed, ...others] = await Promise.allSettled([
      infer(ask('failing', { parameters: { how: 'internal' } })),
      ...Array.from({ length: 6 }, (_, i) => infer(ask('failing', { inputs: [picture(i)] }))),
      ...Array.from({ length: 6 }, (_, i) => infer(ask('echo', { inputs: [picture(i)] }))),
    ]);
    expect(failed).toMatchObject({ status: 'rejected', reason: { code: 'INFERENCE_FAILED' } });
    expect(others.every(({ status }) => status === 'fulfilled')).toBe(true);
  });

  it('tells what went wrong', async () => {
    const code = (request: InferenceRequest) =>
      infer(request).then(
        () => 'none',
        (error: unknown) => (error as { code: string }).code,
      );
    expect(await code(ask('failing', { parameters: { how: 'raise' } }))).toBe('INFERENCE_FAILED');
    expect(await code(ask('failing', { parameters: { how: 'shape' } }))).toBe('MODEL_OUTPUT_INVALID');
  });

  it.skipIf(transport === 'stream')("believes a model's own word that the input was wrong", async () => {
    // On a stream such an error is only a text, and counts as the model's failure.
    const rejected = infer(ask('failing', { parameters: { how: 'reject' } }));
    await expect(rejected).rejects.toMatchObject({ code: 'MODEL_REJECTED_INPUT' });
  });

  it('calls a full queue an overload', async () => {
    const answers = await Promise.allSettled(Array.from({ length: 8 }, () => infer(ask('crowded'))));
    const codes = answers.map((answer) =>
      answer.status === 'fulfilled' ? 'ok' : (answer.reason as { code: string }).code,
    );
    expect(new Set(codes)).toEqual(new Set(['ok', 'MODEL_OVERLOADED']));
    expect(codes.filter((code) => code === 'ok').length).toBeLessThanOrEqual(4);
  });

  it('gives up at once when its caller does, and leaves the others alone', async () => {
    const reason = new Error('no longer wanted');
    const controller = new AbortController();
    const slow = timed(infer(ask('sleep', { parameters: { ms: 700 } }), controller.signal));
    const others = [2, 3].map((seed) => infer(ask('sleep', { inputs: [picture(seed)] })));
    setTimeout(() => controller.abort(reason), SENT_MS);
    const { ms, outcome } = await slow;
    expect(outcome).toEqual({ error: reason });
    expect(ms).toBeLessThan(400);
    expect((await Promise.all(others)).map(({ output }) => output)).toEqual([picture(2), picture(3)]);
  });

  it('hands no memory on that an abandoned inference may still write to', async () => {
    const controller = new AbortController();
    const abandoned = infer(ask('sleep', { inputs: [picture(0xaa, 64)], parameters: { ms: 300 } }), controller.signal);
    setTimeout(() => controller.abort(new Error('no longer wanted')), SENT_MS);
    await expect(abandoned).rejects.toThrow('no longer wanted');
    // Waits in the queue while the first one ends; its own bytes lie where the other's answer would.
    const image = picture(0xbb, 80);
    const { output } = await infer(ask('sleep', { inputs: [image] }));
    expect(output.data.equals(image.data)).toBe(true);
  });

  it('calls a model that does not answer in time unavailable', async () => {
    const hasty = connect(300);
    await hasty.refresh(patient);
    const { ms, outcome } = await timed(hasty.infer(ask('sleep', { parameters: { ms: 900 } }), patient));
    expect(outcome).toMatchObject({ error: { code: 'MODEL_UNAVAILABLE' } });
    expect(ms).toBeGreaterThan(250);
    expect(ms).toBeLessThan(700);
    expect((await hasty.infer(ask('echo', { inputs: [picture(4)] }), patient)).output).toEqual(picture(4));
    await hasty.close();
  });

  it.skipIf(transport === 'stream')('lets interactive requests pass those that wait', async () => {
    // On a stream they do pass, but Triton gives the answers in the order of the requests.
    const order: string[] = [];
    const note = (name: string) => (result: InferenceResult) => order.push(name) && result;
    const batch = Array.from({ length: 24 }, () =>
      infer(ask('ranked', { parameters: { ms: 20 } })).then(note('batch')),
    );
    await sleep(QUEUED_MS);
    await infer(ask('ranked', { priority: 'interactive', parameters: { ms: 1 } })).then(note('interactive'));
    await Promise.all(batch);
    expect(order.indexOf('interactive')).toBeLessThan(18);
  });

  it('counts what it has done, by size of batch', async () => {
    const count = async () => (await triton.statistics('sleep', patient))[0] ?? { requests: 0, batches: [] };
    const runs = ({ batches }: { batches: readonly { executions: number }[] }) =>
      batches.reduce((sum, { executions }) => sum + executions, 0);
    const before = await count();
    await Promise.all(Array.from({ length: 17 }, () => infer(ask('sleep', { parameters: { ms: 40 } }))));
    // Triton counts a little after it has answered.
    await expect.poll(async () => (await count()).requests).toBeGreaterThanOrEqual(before.requests + 17);
    const after = await count();
    expect(runs(after)).toBeLessThan(runs(before) + 17);
    const largest = after.batches.find(({ batchSize }) => batchSize === 8);
    expect(largest?.executions).toBeGreaterThan(0);
    expect(largest?.meanMs).toBeGreaterThan(40);
  });

  it('fails what is under way when it is closed, and leaves nothing on the server', async () => {
    const closing = connect();
    await closing.refresh(patient);
    const underWay = timed(closing.infer(ask('sleep', { parameters: { ms: 500 } }), patient));
    await sleep(SENT_MS);
    await closing.close();
    const { outcome } = await underWay;
    expect(outcome).toMatchObject({ error: { code: 'MODEL_UNAVAILABLE' } });
  });
});

it('tells of every attempt: how long it took, what failed, and nothing of those that were called off', async () => {
  const attempts: InferCall[] = [];
  const url = inject('stack').env.TRITON_URL;
  const triton = connectTriton({ url, transport: 'stream', onAttempt: (attempt) => attempts.push(attempt) });
  await triton.refresh(patient);
  await triton.infer(ask('sleep', { parameters: { ms: 100 } }), patient);
  await triton.infer(ask('failing', { parameters: { how: 'raise' } }), patient).catch(() => undefined);
  await triton.infer(ask('echo', { version: '99' }), patient).catch(() => undefined);
  await triton.infer(ask('sleep', { parameters: { ms: 500 } }), AbortSignal.timeout(50)).catch(() => undefined);
  await triton.close();
  expect(attempts).toMatchObject([
    { model: 'sleep', version: '1', carrier: 'stream' },
    { model: 'failing', carrier: 'stream', error: { code: 'INFERENCE_FAILED' } },
    { model: 'echo', version: '99', carrier: undefined, error: { code: 'MODEL_UNAVAILABLE' } },
  ]);
  expect(attempts).toHaveLength(3);
  expect(attempts[0]?.error).toBeUndefined();
  expect(attempts[0]?.tookMs).toBeGreaterThanOrEqual(100);
});

describe('shared memory', () => {
  const connect = (transport: 'auto' | 'shm' | 'unary', onAttempt?: (attempt: InferCall) => void) =>
    connectTriton({ url: inject('stack').env.TRITON_URL, transport, ...(onAttempt ? { onAttempt } : {}) });

  it.each([
    ['auto', true],
    ['shm', true],
    ['unary', false],
  ] as const)('transport %s on one host: used %s, and given back', async (transport, expected) => {
    const attempts: InferCall[] = [];
    const triton = connect(transport, (attempt) => attempts.push(attempt));
    await triton.refresh(patient);
    await Promise.all([1, 2, 3].map((seed) => triton.infer(ask('echo', { inputs: [picture(seed)] }), patient)));
    expect((await regions()).length > 0).toBe(expected);
    expect(attempts.map(({ carrier }) => carrier)).toEqual(Array(3).fill(expected ? 'shm' : 'unary'));
    await triton.close();
    expect(await regions()).toEqual([]);
  });

  it('sends in the message what it has no memory for', async () => {
    const channel = new Channel(inject('stack').env.TRITON_URL);
    const transport = sharedMemoryTransport(channel, unaryTransport(channel), new RegionPool(channel, 128 * 1024));
    const carriers: string[] = [];
    const onSend = (carrier: string) => carriers.push(carrier);
    const options = { signal: patient, deadlineMs: 5_000, outputBytes: 192, onSend };
    const images = Array.from({ length: 8 }, (_, i) => picture(i));
    const answers = await Promise.all(
      images.map((image) => transport.infer(encodeRequest(ask('echo', { inputs: [image] }), true), options)),
    );
    expect(answers.map(({ rawOutputContents }) => rawOutputContents[0])).toEqual(images.map(({ data }) => data));
    expect(await regions()).toHaveLength(2);
    expect(carriers.sort()).toEqual(['shm', 'shm', ...Array<string>(6).fill('unary')]);
    await transport.close();
    channel.close();
  });

  it('takes its regions again for later requests', async () => {
    const triton = connect('shm');
    await triton.refresh(patient);
    for (let i = 0; i < 5; i += 1) await triton.infer(ask('echo'), patient);
    expect(await regions()).toHaveLength(1);
    await triton.close();
  });
});
