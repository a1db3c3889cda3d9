import { describe, expect, it } from 'vitest';
import type { ModelContract } from '../../../src/domain/contract.js';
import { JobError } from '../../../src/domain/errors.js';
import type { ModelServer } from '../../../src/domain/ports.js';
import { NO_ROUTES, parseRoutes } from '../../../src/domain/routes.js';
import { createUnknown, route } from '../../../src/pipeline/route.js';
import { memoryModels } from '../../support/memory-models.js';

const never = new AbortController().signal;

/** A server that serves `echo/1`, and what is put into its lists. */
function serverOf(unready: Record<string, string> = {}) {
  const asked: unknown[] = [];
  const contract = (versions: readonly string[], parameters: object = {}) => ({
    versions: new Map(versions.map((one) => [one, { parameters }])),
  });
  const contracts = new Map([['echo', contract(['1'])]]);
  const server = memoryModels(contracts as unknown as Map<string, ModelContract>, undefined, {
    unready: () => new Map(Object.entries(unready)),
    refresh: (_, about) => Promise.resolve(void asked.push(about)),
  });
  return {
    server,
    asked,
    serve: (model: string, versions: readonly string[], parameters?: object) =>
      contracts.set(model, contract(versions, parameters)),
  };
}

const end = (promise: Promise<unknown>) =>
  promise.then(
    () => 'ok',
    (error: unknown) => error as { code: string; message: string },
  );
const options = (more: object = {}) => ({ routes: NO_ROUTES, waitMs: 0, ...more });

describe('route', () => {
  it('takes what the server says of a model or version for away, and any other for unknown', async () => {
    const { server, asked } = serverOf({ broken: 'cannot be loaded', 'echo/2': 'is loading' });
    const needs = (name: string) => ({ code: 'MODEL_UNAVAILABLE', needs: { kind: 'model', name } });
    expect(await end(route([{ model: 'broken' }], server, options(), never))).toMatchObject(needs('broken'));
    const version = await end(route([{ model: 'echo', version: '2' }], server, options(), never));
    expect(version).toMatchObject({ code: 'MODEL_UNAVAILABLE', needs: { kind: 'model', name: 'echo', version: '2' } });
    expect(await end(route([{ model: 'echo', version: '3' }], server, options(), never))).toMatchObject({
      ...{ code: 'UNKNOWN_VERSION', message: 'model echo: version 3: expected one of 1' },
    });
    expect(await end(route([{ model: 'x' }], server, options(), never))).toMatchObject({ code: 'UNKNOWN_MODEL' });
    expect(asked).toEqual([
      ...[{ model: 'broken' }, { model: 'echo', version: '2' }],
      ...[{ model: 'echo', version: '3' }, { model: 'x' }],
    ]);
  });

  it('waits, and does not give up at once, while the server does not answer', async () => {
    const { server, serve } = serverOf();
    let answers = false;
    const silent = {
      ...server,
      refresh: () => (answers ? Promise.resolve() : Promise.reject(new JobError('MODEL_UNAVAILABLE', 'not reached'))),
    };
    const waiting = end(route([{ model: 'late' }], silent, options({ waitMs: 60_000 }), never));
    setTimeout(() => {
      answers = true;
      serve('late', ['1']);
    }, 100);
    expect(await waiting).toBe('ok');
    answers = false;
    const inVain = await end(route([{ model: 'x' }], silent, options({ waitMs: 600 }), never));
    expect(inVain).toMatchObject({ code: 'MODEL_UNAVAILABLE', needs: { kind: 'model', name: 'x' } });
    const fault = { ...server, refresh: () => Promise.reject(new TypeError('a fault of ours')) };
    expect(await end(route([{ model: 'x' }], fault, options({ waitMs: 600 }), never))).toBeInstanceOf(TypeError);
  });

  it('reads the contract again before a parameter ends the job: the model may have been loaded anew', async () => {
    const { server, asked, serve } = serverOf();
    const operation = { model: 'echo', parameters: { strength: 1 } };
    expect(await end(route([operation], server, options(), never))).toMatchObject({ code: 'INVALID_PARAMETERS' });
    expect(asked).toEqual([{ model: 'echo' }]);
    const parameters = { properties: { strength: { type: 'number' } } };
    const reloaded = { ...server, refresh: () => Promise.resolve(void serve('echo', ['1'], parameters)) };
    expect(await end(route([operation], reloaded, options(), never))).toBe('ok');
  });

  it('puts the job off while another replica takes its parameters', async () => {
    const { server } = serverOf();
    const operation = { model: 'echo', parameters: { strength: 1 } };
    const reloaded = serverOf();
    reloaded.serve('echo', ['1'], { properties: { strength: { type: 'number' } } });
    const contractsNow: ModelServer['contractsNow'] = async (...about) =>
      (await Promise.all([server.contractsNow(...about), reloaded.server.contractsNow(...about)])).flat();
    const outcome = await end(route([operation], { ...server, contractsNow }, options(), never));
    expect(outcome).toMatchObject({ code: 'MODEL_UNAVAILABLE', needs: { kind: 'model', name: 'echo' } });
  });

  it('puts the job off where the server does not say whether it takes a parameter now', async () => {
    const refresh = () => Promise.reject(new JobError('MODEL_UNAVAILABLE', 'not reached'));
    const operation = { model: 'echo', parameters: { strength: 1 } };
    const outcome = await end(route([operation], { ...serverOf().server, refresh }, options(), never));
    expect(outcome).toMatchObject({ code: 'MODEL_UNAVAILABLE' });
  });

  it('takes what the routes name for away', async () => {
    const routes = parseRoutes(JSON.stringify({ models: { paint: { default: '2' }, echo: { default: '7' } } }));
    const { server } = serverOf();
    for (const operation of [{ model: 'paint' }, { model: 'paint', version: '2' }, { model: 'echo', version: '7' }]) {
      const outcome = await end(route([operation], server, options({ routes }), never));
      expect(outcome).toMatchObject({ code: 'MODEL_UNAVAILABLE' });
    }
    expect(await end(route([{ model: 'echo' }], server, options({ routes }), never))).toBe('ok'); // by version 1
    const unknown = await end(route([{ model: 'echo', version: '8' }], server, options({ routes }), never));
    expect(unknown).toMatchObject({ code: 'UNKNOWN_VERSION' });
  });

  it('waits for what looks unknown before it says so, and does it when it comes', async () => {
    const { server, asked, serve } = serverOf();
    const coming = end(
      route([{ model: 'late' }, { model: 'echo', version: '2' }], server, options({ waitMs: 60_000 }), never),
    );
    await expect.poll(() => asked.length).toBeGreaterThan(1);
    serve('late', ['1']);
    await expect.poll(() => asked.at(-1)).toEqual({ model: 'echo', version: '2' });
    serve('echo', ['1', '2']);
    expect(await coming).toBe('ok');
  });

  it('waits for nothing where it must not, and still says what is unknown only when its time is over', async () => {
    let time = performance.now();
    const { server } = serverOf({ broken: 'is loading' });
    const impatient = options({ waitMs: 60_000, patient: false, unknown: createUnknown(() => time) });
    for (const model of ['broken', 'x']) {
      const outcome = await end(route([{ model }], server, impatient, never));
      expect(outcome).toMatchObject({ code: 'MODEL_UNAVAILABLE', needs: { kind: 'model', name: model } });
    }
    time -= 60_000;
    await end(route([{ model: 'y' }], server, impatient, never));
    expect(await end(route([{ model: 'y' }], server, impatient, never))).toMatchObject({ code: 'UNKNOWN_MODEL' });
  });

  it('does not wait again for what was waited for in vain, until it is known or long forgotten', async () => {
    let time = 0;
    const unknown = createUnknown(() => time);
    expect([unknown.since('x'), (time = 5_000), unknown.since('x')]).toEqual([0, 5_000, 0]);
    unknown.found('x');
    expect(unknown.since('x')).toBe(5_000);
    time = 700_000;
    expect(unknown.since('x')).toBe(700_000);

    const { server, asked } = serverOf();
    const waited = { since: () => performance.now() - 60_000, found: () => undefined };
    const outcome = await end(route([{ model: 'x' }], server, options({ waitMs: 60_000, unknown: waited }), never));
    expect(outcome).toMatchObject({ code: 'UNKNOWN_MODEL' });
    expect(asked).toHaveLength(1); // it has looked once more all the same
  });

  it('remembers that it waited for an unknown name, even if the server does not answer once in between', async () => {
    let time = performance.now() - 30_000;
    const { server } = serverOf();
    let answers = true;
    const unreliable = {
      ...server,
      refresh: () => (answers ? Promise.resolve() : Promise.reject(new JobError('MODEL_UNAVAILABLE', 'not reached'))),
    };
    const unknown = createUnknown(() => time);
    const ask = (waitMs: number) =>
      end(route([{ model: 'x' }], unreliable, options({ waitMs, patient: false, unknown }), never));
    expect(await ask(60_000)).toMatchObject({ code: 'MODEL_UNAVAILABLE' });
    answers = false;
    expect(await ask(60_000)).toMatchObject({ code: 'MODEL_UNAVAILABLE' });
    answers = true;
    time = performance.now();
    expect(await ask(20_000)).toMatchObject({ code: 'UNKNOWN_MODEL' });
  });

  it.each([
    ['EXECUTION_TIMEOUT', 'MODEL_UNAVAILABLE'],
    ['DEADLINE_EXCEEDED', 'DEADLINE_EXCEEDED'],
  ] as const)('throws, when %s ends its wait for a model: %s', async (limit, code) => {
    const { server, asked } = serverOf({ broken: 'is loading' });
    for (const model of ['broken', 'x']) {
      const over = new AbortController();
      const waiting = end(route([{ model }], server, options({ waitMs: 60_000 }), over.signal));
      await expect.poll(() => asked.at(-1)).toEqual({ model });
      over.abort(new JobError(limit, 'too late'));
      expect(await waiting).toMatchObject({ code });
    }
  });
});
