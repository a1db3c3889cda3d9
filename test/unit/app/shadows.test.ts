/*
 * What keeps shadows from jobs, on the worker's own schedulers. Triton is a stand-in: a real one cannot be made to be away
 * for one version alone at will.
 */
import { pino } from 'pino';
import sharp from 'sharp';
import { describe, expect, it, vi } from 'vitest';
import type { Connections } from '../../../src/app/connections.js';
import { createSchedulers } from '../../../src/app/schedulers.js';
import { createShadows } from '../../../src/app/shadows.js';
import type { WorkerConfig } from '../../../src/config/index.js';
import { readContract } from '../../../src/domain/examine-contract.js';
import { JobError } from '../../../src/domain/errors.js';
import { parseJob } from '../../../src/domain/job.js';
import { parseRoutes } from '../../../src/domain/routes.js';
import type { DoneJob } from '../../../src/domain/shadow.js';
import type { Guard } from '../../../src/worker/canary-guard.js';
import { memoryModels } from '../../support/memory-models.js';
import { memoryStore } from '../../support/memory-store.js';

const never = new AbortController().signal;
const tensor = { name: 'image', datatype: 'UINT8', dims: [-1, -1, 3], optional: false };
const contract = readContract({
  ...{ model: 'm', maxBatchSize: 8, instances: 1, batcher: { delayMs: 0, prefetches: true } },
  ...{ inputs: [tensor], outputs: [tensor], readyVersions: ['1', '2'] },
  parameters: { 'imagen.plans': '["whole"]' },
});
const routes = parseRoutes(JSON.stringify({ models: { m: { default: '1', shadow: { version: '2', share: 1 } } } }));
const CONFIG = {
  ...{ shadowPrefix: 'gs://shadows', statePrefix: 'gs://state', outputPrefix: 'gs://out', workerName: 'w' },
  ...{ allowedInputs: ['gs://in'], allowedOutputs: ['gs://out'], maxInputBytes: 1_000_000, maxInputPixels: 1_000_000 },
  ...{ maxOutputPixels: 1_000_000, maxJobs: 1, maxDecodedBytes: 1_000_000, poolThreads: 8, inferenceAttempts: 1 },
  ...{ modelWaitSeconds: 0, storageWaitSeconds: 0, inferenceTimeoutSeconds: 120 },
} as unknown as WorkerConfig;
const guard = { stopped: () => false } as unknown as Guard;

/** @param infer what version 2 does */
async function setUp(infer: (signal: AbortSignal) => Promise<never>, more: Partial<WorkerConfig> = {}) {
  const config = { ...CONFIG, ...more };
  const memory = memoryStore();
  const bytes = await sharp({ create: { width: 32, height: 24, channels: 3, background: '#456' } })
    .png()
    .toBuffer();
  await memory.store.create({ bucket: 'in', name: 'a.png' }, bytes, { contentType: 'image/png', signal: never });
  const models = memoryModels([contract], (_, signal) => infer(signal));
  const connections = { models, store: memory.store, routes: { current: () => routes } } as unknown as Connections;
  const schedulers = createSchedulers(config, connections, guard, pino({ enabled: false }), never);
  const told: string[] = [];
  const shadows = createShadows(config, connections, schedulers, ({ job: { jobId } }, end) => {
    const how = end.kind === 'reported' ? (end.report.error?.code ?? end.report.result) : end.kind;
    told.push(`${jobId} ${end.kind === 'dropped' ? end.reason : how}`);
  });
  const offer = (jobId: string) => {
    const input = { uri: 'gs://in/a.png', generation: '1' };
    const output = { uri: `gs://out/${jobId}/result.png`, generation: '1', contentType: 'image/png', crc32c: '' };
    const done: DoneJob = {
      job: parseJob(Buffer.from(JSON.stringify({ jobId, operations: ['m'], input }))),
      completion: {
        ...{ schemaVersion: 1, eventId: 'e', jobId, status: 'succeeded', input },
        output: { ...output, bytes: 1, width: 32, height: 24 },
        steps: [{ model: 'm', servedVersion: '1', plan: 'whole', requests: 1 }],
      },
      inferenceSeconds: [1],
    };
    shadows.offer(done);
  };
  const until = (condition: () => boolean) => vi.waitFor(() => expect(condition()).toBe(true), 5_000);
  return { schedulers, shadows, offer, told, until };
}

/** Never answers. */
const hang = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error));
  });
const away = () => Promise.reject(new JobError('MODEL_UNAVAILABLE', 'away'));

describe('a shadow', () => {
  it('whose version is away opens no circuit, and has no queue of jobs', async () => {
    const { schedulers, offer, told, until } = await setUp(away);
    // A circuit opens when failures span a second.
    for (let i = 0; i < 3; i++) {
      const at = performance.now();
      offer(`job-${i}`);
      await until(() => told.length === i + 1 && performance.now() - at > 600);
    }
    expect(told).toEqual([0, 1, 2].map((i) => `job-${i} MODEL_UNAVAILABLE`));
    expect(schedulers.circuits.open()).toEqual([]);
    expect(schedulers.availability.broken([{ kind: 'model', name: 'm', version: '2' }])).toBeUndefined();
    expect(schedulers.share.load()).toEqual([]);
    expect(schedulers.budget.held()).toBe(0);
  });

  it('waits while a job is in work, and is dropped when one waits for a place', async () => {
    let sent = 0;
    const { schedulers, offer, told, until } = await setUp((signal) => {
      sent++;
      return hang(signal);
    });
    const { intake } = schedulers;
    const first = await intake.enter({ jobId: 'first', model: 'm' });
    const looks = vi.spyOn(intake, 'active', 'get');
    offer('a');
    await until(() => looks.mock.calls.length > 20);
    expect(sent).toBe(0);
    if (first.kind === 'entered') first.leave();
    await until(() => sent === 1);
    const second = await intake.enter({ jobId: 'second', model: 'm' });
    expect(told).toEqual([]);
    void intake.enter({ jobId: 'third', model: 'm' });
    await until(() => told.length === 1);
    expect(told).toEqual(['a busy']);
    expect(schedulers.budget.held()).toBe(0);
    if (second.kind === 'entered') second.leave();
  });

  it('takes no memory that is not free', async () => {
    const { schedulers, offer, told, until } = await setUp(away);
    const release = schedulers.budget.take(1_000_000);
    expect(release).toBeDefined();
    const small = Array.from({ length: 4 }, () => schedulers.budget.take(31_000));
    expect(small).not.toContain(undefined);
    offer('a');
    await until(() => told.length === 1);
    expect(told).toEqual(['a memory']);
  });

  it('is given up when its version hangs, before the connection would give it up', async () => {
    const { schedulers, offer, told, until } = await setUp(hang, { inferenceTimeoutSeconds: 0.4 });
    const since = performance.now();
    offer('a');
    await until(() => told.length === 1);
    expect(told).toEqual(['a EXECUTION_TIMEOUT']);
    offer('b');
    await until(() => told.length === 2);
    expect(told[1]).toBe('b resting');
    expect(performance.now() - since).toBeGreaterThan(200);
    expect(schedulers.budget.held()).toBe(0);
  });
});
