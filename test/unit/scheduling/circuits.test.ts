import { beforeEach, describe, expect, it } from 'vitest';
import { JobError, type ModelNeed } from '../../../src/domain/errors.js';
import type { InferenceRequest, ModelServer } from '../../../src/domain/ports.js';
import { createTensor } from '../../../src/domain/tensor.js';
import { type Circuits, createCircuits } from '../../../src/scheduling/circuits.js';
import { memoryModels } from '../../support/memory-models.js';

const need = (name: string, more: Partial<ModelNeed> = {}): ModelNeed => ({ kind: 'model', name, ...more });
const request = (model: string, version: string): InferenceRequest => ({
  model,
  version,
  inputs: [],
  output: 'image',
  priority: 'batch',
  parameters: {},
});
const never = new AbortController().signal;

describe('circuits', () => {
  let time: number;
  let outcome: 'well' | JobError;
  let ready: string[];
  let versions: [string, object][];
  let unready: [string, string][];
  let circuits: Circuits;
  let watched: ModelServer;

  beforeEach(() => {
    time = 0;
    outcome = 'well';
    [ready, unready, versions] = [['a', 'b'], [], [['1', {}]]];
    const server = memoryModels([], undefined, {
      contracts: () => new Map(ready.map((name) => [name, { versions: new Map(versions) } as never])),
      unready: () => new Map(unready),
      infer: () =>
        outcome === 'well'
          ? Promise.resolve({ version: '1', output: createTensor('image', 'UINT8', [0], Buffer.alloc(0)) })
          : Promise.reject(outcome),
    });
    circuits = createCircuits(server, { now: () => time, versionFor: ({ key }) => key });
    watched = circuits.watch(server);
  });

  const infer = async (model: string, ends: typeof outcome, version = '1') => {
    outcome = ends;
    await watched.infer(request(model, version), never).catch(() => undefined);
  };
  const down = new JobError('MODEL_UNAVAILABLE', 'connection refused');

  it('open when failures span a second without a success, and for that model alone', async () => {
    await infer('a', down);
    time = 900;
    await infer('a', down);
    expect(circuits.broken([need('a')])).toBeUndefined();
    time = 1_000;
    await infer('a', down);
    expect(circuits.broken([need('b'), need('a')])).toEqual({
      need: need('a', { version: '1' }),
      reason: 'connection refused',
    });
    expect(circuits.broken([need('b')])).toBeUndefined();
    expect(circuits.open().map(({ model, version }) => `${model}/${version}`)).toEqual(['a/1']);
    await infer('a', 'well');
    expect(circuits.broken([need('a')])).toBeUndefined();
  });

  it('stay closed where a success comes between, and for errors that are no outage', async () => {
    await infer('a', down);
    time = 700;
    await infer('a', 'well');
    time = 1_400;
    await infer('a', down);
    for (const code of ['MODEL_OVERLOADED', 'INFERENCE_FAILED', 'MODEL_REJECTED_INPUT'] as const) {
      await infer('b', new JobError(code, 'x'));
      time += 2_000;
      await infer('b', new JobError(code, 'x'));
    }
    expect(circuits.broken([need('a'), need('b')])).toBeUndefined();
  });

  it('stay closed for single failures that lie far apart', async () => {
    await infer('a', down);
    time = 3_600_000;
    await infer('a', down);
    expect(circuits.broken([need('a')])).toBeUndefined();
  });

  it('let one job try now and then, and no second one while the first is at it', async () => {
    await infer('a', down);
    time = 1_000;
    await infer('a', down);
    expect(circuits.refuse([need('a')])?.need.name).toBe('a');
    time = 2_500;
    expect(circuits.mayTry(need('a'))).toBe(true);
    expect(circuits.refuse([need('a')])).toBeUndefined();
    expect(circuits.refuse([need('a')])?.need.name).toBe('a');
    time = 3_500;
    await infer('a', down); // still being retried in place
    time = 4_500;
    expect(circuits.refuse([need('a')])?.need.name).toBe('a');
  });

  it('stop the jobs of one version, and the whole model only when no version works', async () => {
    versions = [
      ['1', {}],
      ['2', {}],
    ];
    const breaks = async (version: string) => {
      await infer('a', down, version);
      time += 1_000;
      await infer('a', down, version);
    };
    await breaks('2');
    await infer('a', 'well', '1');
    expect(circuits.broken([need('a', { version: '2' })])).toEqual({
      need: need('a', { version: '2' }),
      reason: 'connection refused',
    });
    // The routes choose by the key.
    expect(circuits.refuse([need('a', { key: '2' })])?.need).toEqual(need('a', { version: '2' }));
    for (const one of [{ version: '1' }, { key: '1' }, {}]) expect(circuits.refuse([need('a', one)])).toBeUndefined();
    await breaks('1');
    expect(circuits.broken([need('a')])).toEqual({ need: need('a'), reason: 'connection refused' });
    // A trial at one version is none at the other.
    time += 1_500;
    expect(circuits.refuse([need('a', { version: '1' })])).toBeUndefined();
    expect(circuits.refuse([need('a', { version: '1' })])).toBeDefined();
    expect(circuits.mayTry(need('a', { version: '2' }))).toBe(true);
  });

  it('believe the server that it has a model and cannot serve it, and try nothing then', () => {
    ready = ['b'];
    unready = [['a', 'unloaded']];
    time = 60_000;
    expect(circuits.refuse([need('a')])).toEqual({ need: need('a'), reason: 'unloaded' });
    expect(circuits.mayTry(need('a'))).toBe(false);
    ready = ['a', 'b']; // one version of it serves
    expect(circuits.refuse([need('a')])).toBeUndefined();
  });
});
