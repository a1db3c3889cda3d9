/** What a worker sees of a Triton whose models come and go, and which itself stops, hangs and starts again. */
import { cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LOCAL_ADMIN_KEY } from '../../scripts/dev/stack/env.js';
import { connectTriton, type Triton } from '../../src/adapters/triton/server.js';
import type { InferenceRequest } from '../../src/domain/ports.js';
import { NO_ROUTES, parseRoutes } from '../../src/domain/routes.js';
import { createTensor } from '../../src/domain/tensor.js';
import { route } from '../../src/pipeline/route.js';
import { OwnTriton } from '../support/own-triton.js';

const patient = new AbortController().signal;
const POLL_MS = 200;
const image = createTensor('image', 'UINT8', [8, 8, 3], Buffer.alloc(192, 5));
/** A caller's pause after a failure, in milliseconds: without it, the failures of a model that is away keep the processor busy. */
const AGAIN_MS = 20;
/** A request is on its way by then, in milliseconds. Triton does not say what it has received before it has answered. */
const SENT_MS = 300;
const ask = (model: string, more: Partial<InferenceRequest> = {}): InferenceRequest => ({
  ...{ model, version: '1', inputs: [image], output: 'image', priority: 'batch', parameters: {} },
  ...more,
});
const codeOf = (error: unknown): string => (error as { code?: string }).code ?? String(error);

const key = { 'triton-grpc-protocol-imagen-admin': LOCAL_ADMIN_KEY };

const server = new OwnTriton('lifecycle');
beforeAll(() => server.start());
afterAll(() => server.down());

describe('the catalogue, where the repository may be looked at', () => {
  let triton: Triton;
  beforeAll(async () => {
    triton = connectTriton({ url: server.url, transport: 'unary', pollMs: POLL_MS, headers: key });
    triton.start();
    await triton.refresh(patient);
  });
  afterAll(() => triton.close());

  it('names model, key, expected and given of a contract that cannot be used', () => {
    expect(triton.contracts().has('bad_contract')).toBe(false);
    expect(triton.unready().get('bad_contract')).toBe(
      'model bad_contract: imagen.tile_sizes: expected at least one size for plan tile, given []',
    );
  });

  it('says why a model could not be loaded, and goes on with the others', async () => {
    expect(triton.unready().get('broken')).toBe('not loaded');
    expect(await server.load('broken')).toBe(false);
    await expect.poll(() => triton.unready().get('broken')).toContain('RuntimeError: cannot be loaded');
    await expect(triton.infer(ask('broken'), patient)).rejects.toMatchObject({
      code: 'MODEL_UNAVAILABLE',
      message: expect.stringContaining('cannot be loaded') as string,
    });
    expect((await triton.infer(ask('echo'), patient)).output).toEqual(image);
  });

  it('finds a new version by itself', async () => {
    await cp(join(server.models, 'echo/1'), join(server.models, 'echo/3'), { recursive: true });
    await server.load('echo');
    await expect.poll(() => [...(triton.contracts().get('echo')?.versions.keys() ?? [])]).toEqual(['1', '2', '3']);
    expect((await triton.infer(ask('echo', { version: '3' }), patient)).version).toBe('3');
  });

  it('finds a changed contract by itself, though the versions are the same', async () => {
    const config = join(server.models, 'echo/config.pbtxt');
    await writeFile(config, (await readFile(config, 'utf8')).replace('[64]', '[64, 128]'));
    await server.load('echo');
    await expect.poll(() => triton.contracts().get('echo')?.versions.get('1')?.tileSizes).toEqual([64, 128]);
  });

  it('keeps to a failed version of a model that serves in others', async () => {
    await cp(join(server.models, 'broken/1'), join(server.models, 'single/2'), { recursive: true });
    const config = join(server.models, 'single/config.pbtxt');
    await writeFile(config, `${await readFile(config, 'utf8')}version_policy { all {} }\n`);
    await server.load('single');
    await expect.poll(() => triton.unready().get('single/2')).toContain('cannot be loaded');
    expect([...(triton.contracts().get('single')?.versions.keys() ?? [])]).toEqual(['1']);
    await rm(join(server.models, 'single/2'), { recursive: true }); // it would keep the server from starting again
  });

  it('reads again when asked to, and gives up when its caller does', async () => {
    await server.unload('sleep');
    await triton.refresh(patient);
    expect(triton.contracts().has('sleep')).toBe(false);
    expect(triton.unready().get('sleep')).toMatch(/UNLOADING|unloaded/);
    await server.load('sleep');
    const reason = new Error('no longer wanted');
    await expect(triton.refresh(AbortSignal.abort(reason))).rejects.toBe(reason);
    await triton.refresh(patient);
    expect(triton.contracts().has('sleep')).toBe(true);
  });
});

describe('what is away, where the repository is restricted', () => {
  const connect = async (about?: { model: string; version?: string }, rememberMs = 60_000) => {
    const triton = connectTriton({ url: server.url, transport: 'unary', pollMs: POLL_MS, rememberMs });
    triton.start();
    await triton.refresh(patient, about);
    return triton;
  };
  const routed = (triton: Triton, model: string, version?: string, routes = NO_ROUTES) =>
    route([{ model, ...(version ? { version } : {}) }], triton, { routes, waitMs: 300 }, patient).then(
      () => 'ok',
      codeOf,
    );
  const slow = 'import time\nclass TritonPythonModel:\n    def initialize(self, args):\n        time.sleep(3)\n';

  it('is a model that was served and is unloaded, also to a worker that has only now come', async () => {
    const before = await connect();
    await server.unload('sleep');
    await expect.poll(() => before.contracts().has('sleep')).toBe(false);
    expect(before.unready().get('sleep')).toContain('has no available versions');
    expect(await routed(before, 'sleep')).toBe('MODEL_UNAVAILABLE');
    const since = await connect();
    expect(since.unready().has('sleep')).toBe(false);
    expect(await routed(since, 'sleep')).toBe('MODEL_UNAVAILABLE');
    await server.load('sleep');
    await expect.poll(() => routed(since, 'sleep')).toBe('ok');
    expect(since.unready().has('sleep')).toBe(false);
    await Promise.all([before.close(), since.close()]);
  });

  it('is a model that cannot be loaded', async () => {
    await server.load('broken');
    const triton = await connect();
    expect(await routed(triton, 'broken')).toBe('MODEL_UNAVAILABLE');
    expect(triton.unready().get('broken')).toContain('has no available versions');
    await triton.close();
  });

  it('is a version that is being loaded, and not one that nobody knows, nor one that cannot be', async () => {
    const triton = await connect();
    await mkdir(join(server.models, 'crowded/2'));
    const config = join(server.models, 'crowded/config.pbtxt');
    await writeFile(config, `${await readFile(config, 'utf8')}version_policy { all {} }\n`);
    await writeFile(join(server.models, 'crowded/2/model.py'), slow);
    const loading = server.load('crowded');
    const asked = () => triton.refresh(patient, { model: 'crowded', version: '2' }).then(() => triton.unready());
    await expect.poll(async () => (await asked()).get('crowded/2')).toContain('is not at ready state');
    expect(await routed(triton, 'crowded', '2')).toBe('MODEL_UNAVAILABLE');
    expect(await routed(triton, 'crowded', '9')).toBe('UNKNOWN_VERSION');
    expect(await routed(triton, 'crowded', 'nonsense')).toBe('UNKNOWN_VERSION');
    expect(await routed(triton, 'nothing')).toBe('UNKNOWN_MODEL');
    expect(await routed(triton, 'crowded')).toBe('ok');
    await loading;
    await triton.close();
  });

  it('is what the routes name, and what the server has forgotten, for a while', async () => {
    const named = parseRoutes(JSON.stringify({ models: { nothing: { default: '7' } } }));
    const triton = await connect();
    expect(await routed(triton, 'nothing', undefined, named)).toBe('MODEL_UNAVAILABLE');
    expect(await routed(triton, 'nothing', '7', named)).toBe('MODEL_UNAVAILABLE');
    const forgetful = await connect(undefined, 1);
    // A server that was started anew without it: here, another one at the same address.
    await server.restart({ without: 'ranked' });
    const reason = () => triton.refresh(patient).then(() => triton.unready().get('ranked'), codeOf);
    await expect.poll(reason, { timeout: 10_000 }).toBe('the server no longer serves it');
    await expect.poll(() => forgetful.ready(patient), { timeout: 10_000 }).toBe(true);
    await expect.poll(() => forgetful.contracts().has('ranked'), { timeout: 10_000 }).toBe(false);
    expect(await routed(triton, 'ranked')).toBe('MODEL_UNAVAILABLE');
    expect(await routed(forgetful, 'ranked')).toBe('UNKNOWN_MODEL');
    await server.restart();
    await expect.poll(() => routed(triton, 'ranked'), { timeout: 10_000 }).toBe('ok');
    await Promise.all([triton.close(), forgetful.close()]);
  });
});

it('goes on with a model whose folder is gone, as long as the server serves it', async () => {
  const folder = join(server.models, 'mixed');
  const triton = connectTriton({ url: server.url, transport: 'unary', pollMs: POLL_MS, headers: key });
  triton.start();
  await rename(folder, `${folder}.away`);
  try {
    await triton.refresh(patient);
    expect(triton.contracts().has('mixed')).toBe(true);
  } finally {
    await rename(`${folder}.away`, folder);
    await triton.close();
  }
});

describe.each(['unary', 'stream', 'shm'] as const)('inference by %s', (transport) => {
  let triton: Triton;
  const connect = (url: string, inferTimeoutMs: number) => {
    const client = connectTriton({ url, transport, pollMs: POLL_MS, inferTimeoutMs });
    client.start();
    return client;
  };
  /** Tries until the server answers again. */
  const comesBack = (client: Triton) =>
    expect
      .poll(() => client.infer(ask('echo'), patient).then((result) => result.output, codeOf), { timeout: 15_000 })
      .toEqual(image);

  beforeAll(async () => {
    triton = connect(server.url, 5_000);
    await triton.refresh(patient);
  });
  afterAll(() => triton.close());

  it('meets nothing worse than an unavailable model while one is unloaded and loaded under load', async () => {
    const outcomes = new Map<string, number>();
    let done = false;
    const load = Array.from({ length: 8 }, async () => {
      while (!done) {
        const outcome = await triton.infer(ask('echo'), patient).then(() => 'ok', codeOf);
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        if (outcome !== 'ok') await sleep(AGAIN_MS);
      }
    });
    const count = (outcome: string) => outcomes.get(outcome) ?? 0;
    const untilMore = async (outcome: string) => {
      const before = count(outcome);
      await expect.poll(() => count(outcome), { timeout: 15_000 }).toBeGreaterThan(before + load.length);
    };
    await untilMore('ok');
    await server.unload('echo');
    await untilMore('MODEL_UNAVAILABLE');
    await server.load('echo');
    await comesBack(triton);
    await server.load('echo'); // of a model that is loaded: the old one serves until the new one can
    await untilMore('ok');
    done = true;
    await Promise.all(load);
    expect([...outcomes.keys()].sort()).toEqual(['MODEL_UNAVAILABLE', 'ok']);
  });

  it('calls a server that hangs unavailable, and uses it again when it goes on', async () => {
    const hasty = connect(server.url, 500);
    await hasty.refresh(patient);
    await hasty.infer(ask('echo'), patient);
    await server.hang();
    try {
      const begun = performance.now();
      await expect(hasty.infer(ask('echo'), patient)).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE' });
      expect(performance.now() - begun).toBeLessThan(1_500);
    } finally {
      server.goOn();
    }
    await comesBack(hasty);
    await hasty.close();
  });

  it('fails what is under way when the server dies, and goes on when it is back', async () => {
    const eight = () => Promise.all(Array.from({ length: 8 }, () => triton.infer(ask('echo'), patient)));
    await eight();
    const underWay = [1, 2, 3].map(() => triton.infer(ask('sleep', { parameters: { ms: 3_000 } }), patient));
    await sleep(SENT_MS);
    const begun = performance.now();
    server.kill();
    const outcomes = await Promise.allSettled(underWay);
    expect(performance.now() - begun).toBeLessThan(2_000);
    expect(outcomes.map((outcome) => (outcome.status === 'rejected' ? codeOf(outcome.reason) : 'ok'))).toEqual(
      Array.from({ length: 3 }, () => 'MODEL_UNAVAILABLE'),
    );
    await expect(triton.infer(ask('echo'), patient)).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE' });
    expect(await triton.ready(patient)).toBe(false);
    expect(triton.contracts().has('echo')).toBe(true); // as last read: its jobs wait, rather than fail

    await server.start();
    await expect.poll(() => triton.ready(patient), { timeout: 15_000 }).toBe(true);
    await eight(); // whatever the old server held for them, all of them find the new one
  });
});
