import { beforeEach, describe, expect, it } from 'vitest';
import { JobError } from '../../../src/domain/errors.js';
import type { InferenceRequest, ModelServer } from '../../../src/domain/ports.js';
import { createTensor } from '../../../src/domain/tensor.js';
import { type Circuits, createCircuits } from '../../../src/scheduling/circuits.js';

const request = (model: string): InferenceRequest => ({
  model,
  version: '1',
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
  let unready: [string, string][];
  let circuits: Circuits;
  let watched: ModelServer;

  beforeEach(() => {
    time = 0;
    outcome = 'well';
    [ready, unready] = [['a', 'b'], []];
    const server = {
      contracts: () => new Map(ready.map((name) => [name, {} as never])),
      unready: () => new Map(unready),
      refresh: () => Promise.resolve(),
      contractsNow: () => Promise.resolve([]),
      statistics: () => Promise.resolve([]),
      infer: () =>
        outcome === 'well'
          ? Promise.resolve({ version: '1', output: createTensor('image', 'UINT8', [0], Buffer.alloc(0)) })
          : Promise.reject(outcome),
    } satisfies ModelServer;
    circuits = createCircuits(server, () => time);
    watched = circuits.watch(server);
  });

  const infer = async (model: string, ends: typeof outcome) => {
    outcome = ends;
    await watched.infer(request(model), never).catch(() => undefined);
  };
  const down = new JobError('MODEL_UNAVAILABLE', 'connection refused');

  it('open when failures span a second without a success, and for that model alone', async () => {
    await infer('a', down);
    time = 900;
    await infer('a', down);
    expect(circuits.broken(['a'])).toBeUndefined();
    time = 1_000;
    await infer('a', down);
    expect(circuits.broken(['b', 'a'])).toEqual({ model: 'a', reason: 'connection refused' });
    expect(circuits.broken(['b'])).toBeUndefined();
    expect([...circuits.open().keys()]).toEqual(['a']);
    await infer('a', 'well');
    expect(circuits.broken(['a'])).toBeUndefined();
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
    expect(circuits.broken(['a', 'b'])).toBeUndefined();
  });

  it('stay closed for single failures that lie far apart', async () => {
    await infer('a', down);
    time = 3_600_000;
    await infer('a', down);
    expect(circuits.broken(['a'])).toBeUndefined();
  });

  it('let one job try now and then, and no second one while the first is at it', async () => {
    await infer('a', down);
    time = 1_000;
    await infer('a', down);
    expect(circuits.refuse(['a'])?.model).toBe('a');
    time = 2_500;
    expect(circuits.mayTry('a')).toBe(true);
    expect(circuits.refuse(['a'])).toBeUndefined();
    expect(circuits.refuse(['a'])?.model).toBe('a');
    time = 3_500;
    await infer('a', down); // still being retried in place
    time = 4_500;
    expect(circuits.refuse(['a'])?.model).toBe('a');
  });

  it('believe the server that it has a model and cannot serve it, and try nothing then', () => {
    ready = ['b'];
    unready = [['a', 'unloaded']];
    time = 60_000;
    expect(circuits.refuse(['a'])).toEqual({ model: 'a', reason: 'unloaded' });
    expect(circuits.mayTry('a')).toBe(false);
    ready = ['a', 'b']; // one version of it serves
    expect(circuits.refuse(['a'])).toBeUndefined();
  });
});
