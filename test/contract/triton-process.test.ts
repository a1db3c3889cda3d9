/** What a worker sees of a Triton that still answers, while one of its models has no process any more, or a broken one. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { LOCAL_ADMIN_KEY } from '../../scripts/dev/stack/env.js';
import { connectTriton, type Triton } from '../../src/adapters/triton/server.js';
import { run } from '../../src/cli/index.js';
import type { JobError } from '../../src/domain/errors.js';
import type { InferenceRequest } from '../../src/domain/ports.js';
import { createTensor } from '../../src/domain/tensor.js';
import { OwnTriton } from '../support/own-triton.js';

const patient = new AbortController().signal;
const image = createTensor('image', 'UINT8', [8, 8, 3], Buffer.alloc(192, 5));
const ask = (parameters: InferenceRequest['parameters'] = {}): InferenceRequest => ({
  ...{ model: 'mortal', version: '1', inputs: [image], output: 'image', priority: 'batch', parameters },
});
const needs = { kind: 'model', name: 'mortal' };
const away = (costsAttempt: boolean) => ({ code: 'MODEL_UNAVAILABLE', needs, costsAttempt, outOfMemory: false });

/** A request that comes alone is executing by then, in milliseconds. Triton does not say so before it has answered. */
const BEGINS_MS = 200;

/** Nothing brings a process back but the tests. */
const alone = { TRITON_WATCHDOG: 'off' };
const one = new OwnTriton('process-a', alone);
const two = new OwnTriton('process-b', alone);
beforeAll(() => Promise.all([one.start(), two.start()]));
afterAll(() => Promise.all([one.down(), two.down()]));

/** What became of a request: nothing where it was answered. */
const end = (infer: Promise<unknown>): Promise<JobError | undefined> =>
  infer.then(
    () => undefined,
    (error: unknown) => error as JobError,
  );

describe.each(['unary', 'stream', 'shm'] as const)('by %s', (transport) => {
  let triton: Triton;
  const infer = (parameters?: InferenceRequest['parameters']) => end(triton.infer(ask(parameters), patient));
  const comesBack = () => expect.poll(() => infer(), { timeout: 15_000 }).toBeUndefined();

  beforeEach(async () => {
    await one.reload('mortal');
    triton = connectTriton({ url: one.url, transport, pollMs: 200 });
    triton.start();
    await triton.refresh(patient);
    await comesBack();
    return () => triton.close();
  });

  it('suspects the request during which the process died, and none that waited or came later', async () => {
    const executing = infer({ ms: 5_000 });
    await sleep(BEGINS_MS);
    const waiting = [infer(), infer()];
    await expect.poll(() => one.pending('mortal'), { timeout: 5_000 }).toBe(waiting.length);
    one.killModel('mortal');
    expect(await executing).toMatchObject(away(true));
    const later = infer();
    for (const request of [...waiting, later]) expect(await request).toMatchObject(away(false));
    expect(triton.sick()).toEqual([{ model: 'mortal', version: '1', replica: one.url, fault: 'process' }]);
    // The server itself sees nothing.
    expect(await triton.ready(patient)).toBe(true);
    await triton.refresh(patient);
    expect(triton.contracts().has('mortal')).toBe(true);

    await one.reload('mortal');
    await comesBack();
    expect(triton.sick()).toEqual([]);
  });

  it('suspects nothing of a worker that comes to a process which has died before', async () => {
    one.killModel('mortal');
    await expect.poll(() => one.hasProcess('mortal')).toBe(false);
    const newcomer = connectTriton({ url: one.url, transport, pollMs: 200 });
    newcomer.start();
    try {
      await newcomer.refresh(patient);
      for (let i = 0; i < 2; i++) expect(await end(newcomer.infer(ask(), patient))).toMatchObject(away(false));
    } finally {
      await newcomer.close();
    }
  });

  it('suspects a request that ends its process each time, also where no other comes between', async () => {
    for (let round = 0; round < 2; round++) {
      const error = await infer({ how: 'die' });
      expect(error).toMatchObject(away(true));
      expect(error?.message).toContain(`model mortal, version 1 at ${one.url}: `);
      await one.unload('mortal');
      await expect.poll(() => triton.contracts().has('mortal')).toBe(false);
      await one.load('mortal');
      await expect.poll(() => triton.contracts().has('mortal')).toBe(true);
    }
  });

  it.each([
    ['memory', { code: 'MODEL_UNAVAILABLE', needs, costsAttempt: false, outOfMemory: true }],
    ['cuda', away(true)],
    ['onnx', away(true)],
  ])('takes what libraries raise for want of %s as no fault of the job', async (how, expected) => {
    expect(await infer({ how })).toMatchObject(expected);
    await comesBack();
  });
});

describe('imagen models reload', () => {
  const reload = async (model: string, env: Readonly<Record<string, string>>) => {
    const said: string[] = [];
    const [out, err] = [vi.spyOn(console, 'log'), vi.spyOn(console, 'error')];
    for (const spy of [out, err]) spy.mockImplementation((line: unknown) => void said.push(String(line)));
    const code = await run(['node', 'imagen', 'models', 'reload', model, '--json'], env);
    for (const spy of [out, err]) spy.mockRestore();
    return { code, said: said.join('\n') };
  };
  const env = () => ({ TRITON_URL: `ipv4:${one.url},${two.url}`, TRITON_ADMIN_KEY: LOCAL_ADMIN_KEY });

  it('gives a model new processes at every replica', async () => {
    one.killModel('mortal');
    two.killModel('mortal');
    const { code, said } = await reload('mortal', env());
    expect(JSON.parse(said)).toMatchObject({
      model: 'mortal',
      replicas: [one.url, two.url].map((url) => ({ replica: `ipv4:${url}`, reloaded: true })),
    });
    expect(code).toBe(0);
    for (const { url } of [one, two]) {
      const triton = connectTriton({ url, transport: 'unary' });
      await triton.refresh(patient);
      expect(await end(triton.infer(ask(), patient))).toBeUndefined();
      await triton.close();
    }
  });

  it('says what is wrong, and leaves the other replicas alone', async () => {
    const unknown = await reload('nonsense', env());
    expect(unknown.code).toBe(1);
    expect(JSON.parse(unknown.said)).toMatchObject({
      replicas: [
        {
          replica: `ipv4:${one.url}`,
          reloaded: false,
          error: expect.stringMatching(/expected one of .*mortal/) as string,
        },
      ],
    });
    const { code, said } = await reload('mortal', { ...env(), TRITON_ADMIN_KEY: 'another' });
    expect(code).toBe(1);
    expect(said).toContain('TRITON_ADMIN_KEY does not open the repository of this server: This protocol is restricted');
    const without = await reload('mortal', { TRITON_URL: one.url });
    expect(without).toEqual({
      code: 2,
      said: expect.stringContaining('TRITON_ADMIN_KEY is not set. Expected') as string,
    });
  });
});

it('reads a contract at every replica, and sees that one has another, or cannot serve the version', async () => {
  const config = join(two.models, 'echo/config.pbtxt');
  const former = await readFile(config, 'utf8');
  const triton = connectTriton({ url: `ipv4:${one.url},${two.url}`, transport: 'unary' });
  const sizes = async () => {
    const contracts = await triton.contractsNow({ model: 'echo', version: '1' }, patient);
    return contracts.map((contract) => contract?.versions.get('1')?.tileSizes.join() ?? 'none').sort();
  };
  await expect.poll(sizes).toEqual(['64', '64']);
  await writeFile(config, former.replace('"[64]"', '"[64, 128]"'));
  try {
    await two.reload('echo');
    expect(await sizes()).toEqual(['64', '64,128']);
    await two.unload('echo');
    expect(await sizes()).toEqual(['64', 'none']);
  } finally {
    await writeFile(config, former);
    await two.load('echo');
  }
  await triton.close();
  const nobody = connectTriton({ url: '127.0.0.1:1', transport: 'unary' });
  const asked = nobody.contractsNow({ model: 'echo', version: '1' }, patient);
  await expect(asked).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE', needs: { kind: 'model', name: 'echo' } });
  await nobody.close();
});

describe('one sick replica of two', () => {
  let triton: Triton;
  beforeEach(async () => {
    await Promise.all([one.reload('mortal'), two.reload('mortal')]);
    triton = connectTriton({ url: `ipv4:${one.url},${two.url}`, transport: 'unary', pollMs: 200 });
    triton.start();
    await triton.refresh(patient);
    const bothServe = async () =>
      (await Promise.all([1, 2, 3, 4].map(() => end(triton.infer(ask(), patient))))).every((e) => !e);
    await expect.poll(bothServe, { timeout: 15_000 }).toBe(true);
    return () => triton.close();
  });

  it('costs at most its first requests: the others go to the well one, but for a trial now and then', async () => {
    one.killModel('mortal');
    const first = await Promise.all(Array.from({ length: 4 }, () => end(triton.infer(ask(), patient))));
    expect(first.filter((error) => error !== undefined)).toHaveLength(2);
    const begun = performance.now();
    const later: (JobError | undefined)[] = [];
    for (let i = 0; i < 40; i++) later.push(await end(triton.infer(ask(), patient)));
    const failed = later.filter((error) => error !== undefined);
    expect(failed.length).toBeLessThanOrEqual(1 + (performance.now() - begun) / 5_000);
    for (const error of failed) expect(error).toMatchObject(away(false));
    expect(triton.sick().map(({ replica }) => replica)).toEqual([one.url]);
    await one.reload('mortal');
    await expect
      .poll(
        () =>
          triton.infer(ask(), patient).then(
            () => triton.sick(),
            () => 'failed',
          ),
        { timeout: 20_000 },
      )
      .toEqual([]);
  });

  it('finds the dead one with blank pictures, though no request has failed there', async () => {
    const asked = performance.now();
    expect(await triton.faultOf({ model: 'mortal' }, asked, patient)).toBeUndefined();
    one.killModel('mortal');
    const since = performance.now();
    const faults = await Promise.all([1, 2].map(() => triton.faultOf({ model: 'mortal' }, since, patient)));
    for (const fault of faults) expect(fault).toMatchObject({ ...away(true), needs: { ...needs, version: '1' } });
    expect(faults[0]?.message).toContain(one.url);
    // Who came later did not end the process.
    expect(await triton.faultOf({ model: 'mortal' }, performance.now(), patient)).toMatchObject(away(false));
    await one.reload('mortal');
    await expect.poll(() => end(triton.infer(ask(), patient)), { timeout: 20_000 }).toBeUndefined();
    await expect
      .poll(() => triton.faultOf({ model: 'mortal' }, performance.now(), patient), { timeout: 20_000 })
      .toBeUndefined();
    // Who waited meanwhile did so for it.
    expect(await triton.faultOf({ model: 'mortal' }, since, patient)).toMatchObject({ code: 'MODEL_UNAVAILABLE' });
  });

  it('uses a sick one where there is no other', async () => {
    one.killModel('mortal');
    two.killModel('mortal');
    await Promise.all(Array.from({ length: 2 }, () => end(triton.infer(ask(), patient))));
    expect(triton.sick()).toHaveLength(2);
    await Promise.all([one.reload('mortal'), two.reload('mortal')]);
    await expect.poll(() => end(triton.infer(ask(), patient)), { timeout: 15_000 }).toBeUndefined();
  });
});
