import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Completion } from '../../../src/domain/completion.js';
import type { Facts } from '../../../src/telemetry/metrics/index.js';
import { memoryLimit } from '../../../src/telemetry/metrics/process.js';
import type { JobEnd } from '../../../src/telemetry/metrics/jobs.js';
import { catalogueOf, metricsOf } from '../../support/metrics.js';
import { threeArms } from '../../support/routes.js';

const upscale = catalogueOf({ upscale: ['1', '2'] });
const page = readFileSync(new URL('../../../docs/metrics.md', import.meta.url), 'utf8');

/** The series of a family, as they are shown. */
async function series(metrics: ReturnType<typeof metricsOf>, name: string): Promise<string[]> {
  const { body } = await metrics.render();
  return body.split('\n').filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `));
}

/** Those that have counted something. */
const counted = async (metrics: ReturnType<typeof metricsOf>, name: string) =>
  (await series(metrics, name)).filter((line) => !line.endsWith(' 0'));

const completion = (more: Partial<Completion> = {}): Completion => ({
  schemaVersion: 1,
  eventId: 'e',
  jobId: 'j',
  status: 'succeeded',
  ...more,
});
const end = (more: Partial<JobEnd> = {}): JobEnd => ({
  ...{ completion: completion(), model: 'upscale', version: '1', arm: undefined, replay: false },
  ...{ tookMs: 700, publishMs: 20, ...more },
});

describe('docs/metrics.md', () => {
  const rows = [...page.matchAll(/^\| `(imagen_\w+)` *\| (\w+) *\| ([^|]*?) *\|/gm)].map(
    ([, name, type, labels = '']) => ({
      ...{ name, type },
      labels: labels.split(', ').filter((label) => label !== ''),
    }),
  );
  const byName = (a: { name?: string | undefined }, b: { name?: string | undefined }) =>
    (a.name ?? '').localeCompare(b.name ?? '');

  it('tells of every metric, with its type and labels, and of no other', () => {
    expect(rows.sort(byName)).toEqual([...metricsOf().families].sort(byName));
  });

  it('speaks of no name that is not there', async () => {
    const { body } = await metricsOf().render();
    const names = [...page.matchAll(/`((?:process|nodejs)_\w+)`/g)].map(([, name = '']) => name);
    expect(names.length).toBeGreaterThan(3);
    for (const name of names) expect(body).toContain(`# TYPE ${name} `);
  });
});

describe('a counter that alerts look at', () => {
  it('begins with nothing for every version that is served, so that the first failures are an increase', async () => {
    const metrics = metricsOf({ catalogue: upscale });
    const refused = (version: string) =>
      `imagen_jobs_total{model="upscale",version="${version}",arm="default",status="failed",code="INPUT_FORBIDDEN"}`;
    const before = await series(metrics, 'imagen_jobs_total');
    expect(before).toContain(`${refused('1')} 0`);
    expect(before).toContain(`${refused('2')} 0`);
    const error = { code: 'INPUT_FORBIDDEN', stage: 'fetch', retryable: false, message: '' } as const;
    metrics.jobEnded(end({ completion: completion({ status: 'failed', error }) }));
    const after = await series(metrics, 'imagen_jobs_total');
    expect(after).toContain(`${refused('1')} 1`);
    expect(after.length).toBe(before.length);
  });
});

describe('tenants', () => {
  it('have labels of their own if they are configured; all others share one, and jobs without one have another', async () => {
    const metrics = metricsOf({
      tenants: ['shop'],
      jobsByTenant: () =>
        new Map([
          ['', { active: 1, waiting: 2 }],
          ['shop', { active: 3, waiting: 4 }],
          ...Array.from({ length: 100 }, (_, i) => [`t${i}`, { active: 1, waiting: 0 }] as const),
        ]),
    });
    expect(await series(metrics, 'imagen_tenant_jobs')).toEqual([
      'imagen_tenant_jobs{tenant="shop",state="active"} 3',
      'imagen_tenant_jobs{tenant="shop",state="waiting"} 4',
      'imagen_tenant_jobs{tenant="other",state="active"} 100',
      'imagen_tenant_jobs{tenant="other",state="waiting"} 0',
      'imagen_tenant_jobs{tenant="none",state="active"} 1',
      'imagen_tenant_jobs{tenant="none",state="waiting"} 2',
    ]);
    for (const tenant of ['shop', 't1', 't2', undefined]) {
      metrics.tenantServed({ tenant, timingsMs: { queued: 500, total: 700 } });
    }
    expect((await series(metrics, 'imagen_tenant_queued_seconds_count')).sort()).toEqual([
      'imagen_tenant_queued_seconds_count{tenant="none"} 1',
      'imagen_tenant_queued_seconds_count{tenant="other"} 2',
      'imagen_tenant_queued_seconds_count{tenant="shop"} 1',
    ]);
  });
});

describe('labels', () => {
  it('have few values, whatever jobs ask for', async () => {
    const metrics = metricsOf({ catalogue: upscale });
    const hostile = (i: number) => `x${i}"} 1\nimagen_jobs_total{model="y`;
    for (let i = 0; i < 1_000; i++) {
      const step = { model: hostile(i), servedVersion: hostile(i), plan: 'tile', requests: 1 } as const;
      const error = { code: hostile(i) as 'INTERNAL', stage: 'infer', retryable: false, message: hostile(i) } as const;
      metrics.jobEnded(
        end({ model: hostile(i), version: hostile(i), completion: completion({ status: 'failed', error }) }),
      );
      metrics.jobEnded(end({ version: String(i + 3), arm: hostile(i) }));
      metrics.operationDone(step, { computed: 1, useful: 1 });
      metrics.operationDone({ ...step, plan: hostile(i) as 'tile' }, { computed: 1, useful: 1 });
      metrics.tritonAnswered({ model: hostile(i), version: hostile(i), transport: 'unary', tookMs: 1 });
      metrics.tritonFailed(hostile(i), hostile(i));
      metrics.stepDone({ ...step, experiment: hostile(i), arm: hostile(i), fallbackFrom: hostile(i) });
      metrics.jobDeferred(hostile(i));
      metrics.jobGivenBack(hostile(i));
      metrics.deadLettered(hostile(i));
    }
    expect(await counted(metrics, 'imagen_jobs_total')).toEqual([
      'imagen_jobs_total{model="unknown",version="unknown",arm="default",status="failed",code="unknown"} 1000',
      'imagen_jobs_total{model="upscale",version="unknown",arm="unknown",status="succeeded",code=""} 1000',
    ]);
    const { body } = await metrics.render();
    expect(body).not.toContain('x1');
    const ours = body.split('\n').filter((line) => line.startsWith('imagen_') && !line.endsWith(' 0'));
    expect(ours.length).toBeLessThan(200);
  });

  it('bound arms too, which come from an operator', async () => {
    const metrics = metricsOf({ catalogue: upscale });
    for (let i = 0; i < 1_000; i++) metrics.jobEnded(end({ arm: `experiment-${i}/b` }));
    const arms = await counted(metrics, 'imagen_jobs_total');
    expect(arms).toHaveLength(101);
    expect(arms).toContain(
      'imagen_jobs_total{model="upscale",version="1",arm="experiment-7/b",status="succeeded",code=""} 1',
    );
    expect(arms.find((line) => line.includes('arm="unknown"'))).toMatch(/ 900$/);
  });

  it('keep the name of a model that has gone since', async () => {
    let catalogue = upscale;
    const metrics = metricsOf({ catalogue: { contracts: () => catalogue.contracts(), unready: () => new Map() } });
    metrics.jobEnded(end());
    catalogue = catalogueOf({});
    metrics.jobEnded(end());
    expect(await series(metrics, 'imagen_jobs_total')).toEqual([expect.stringMatching(/version="1".* 2$/)]);
  });
});

describe('what is told', () => {
  it('an end, once, with its stages', async () => {
    const metrics = metricsOf({ catalogue: upscale });
    const timingsMs = { queued: 40, fetch: 10, inference: 600, total: 680 };
    metrics.jobEnded(end({ completion: completion({ timingsMs }) }));
    metrics.jobEnded(end({ completion: completion({ timingsMs }), replay: true }));
    expect(await series(metrics, 'imagen_replays_total')).toEqual(['imagen_replays_total 1']);
    expect(await counted(metrics, 'imagen_jobs_total')).toHaveLength(1);
    expect(await series(metrics, 'imagen_job_duration_seconds_sum')).toEqual([
      'imagen_job_duration_seconds_sum{model="upscale",version="1",arm="default"} 0.7',
    ]);
    expect(await series(metrics, 'imagen_stage_duration_seconds_sum')).toEqual([
      'imagen_stage_duration_seconds_sum{stage="queued"} 0.04',
      'imagen_stage_duration_seconds_sum{stage="fetch"} 0.01',
      'imagen_stage_duration_seconds_sum{stage="inference"} 0.6',
      'imagen_stage_duration_seconds_sum{stage="publish"} 0.02',
    ]);
  });

  it('a delivery, and whether it is the first', async () => {
    const metrics = metricsOf();
    for (const attempt of [0, 1, 2, 3]) metrics.received(attempt);
    expect(await series(metrics, 'imagen_deliveries_total')).toEqual(['imagen_deliveries_total 4']);
    expect(await series(metrics, 'imagen_redeliveries_total')).toEqual(['imagen_redeliveries_total 2']);
  });

  it('what the arms of experiments did, from nothing on, and which of them are stopped', async () => {
    const arms = threeArms();
    const metrics = metricsOf({
      catalogue: upscale,
      arms: () => arms,
      armStopped: ({ name }) => (name === 'v2' ? 'slow' : undefined),
    });
    const [, second = expect.fail()] = arms;
    const failed =
      'imagen_jobs_total{model="upscale",version="2",arm="x/v2",status="failed",code="INFERENCE_FAILED"} 0';
    expect(await series(metrics, 'imagen_jobs_total')).toContain(failed);
    expect(await series(metrics, 'imagen_jobs_total')).toContain(failed.replace('version="2"', 'version="1"'));
    metrics.armEnded(second, 'failed');
    const step = { model: 'upscale', servedVersion: '1', plan: 'tile', requests: 1 } as const;
    metrics.stepDone({ ...step, experiment: 'x', arm: 'v2', fallbackFrom: '2' });
    metrics.stepDone({ ...step, experiment: 'x', arm: 'v1' });
    expect(await series(metrics, 'imagen_experiment_operations_total')).toHaveLength(9);
    expect(await counted(metrics, 'imagen_experiment_operations_total')).toEqual([
      'imagen_experiment_operations_total{model="upscale",version="2",arm="x/v2",outcome="failed"} 1',
    ]);
    expect((await series(metrics, 'imagen_fallbacks_total')).sort()).toEqual([
      'imagen_fallbacks_total{model="upscale",version="1",arm="x/v1"} 0',
      'imagen_fallbacks_total{model="upscale",version="2",arm="x/v2"} 1',
      'imagen_fallbacks_total{model="upscale",version="3",arm="x/v3"} 0', // Triton does not serve it
    ]);
    expect(await series(metrics, 'imagen_experiment_stopped')).toEqual([
      'imagen_experiment_stopped{model="upscale",arm="x/v2",reason="failures"} 0',
      'imagen_experiment_stopped{model="upscale",arm="x/v2",reason="slow"} 1',
      'imagen_experiment_stopped{model="upscale",arm="x/v3",reason="failures"} 0',
      'imagen_experiment_stopped{model="upscale",arm="x/v3",reason="slow"} 0',
    ]);
  });

  it('arms of the routes by their names, however many there were before', async () => {
    let arms = threeArms();
    const metrics = metricsOf({ catalogue: upscale, arms: () => arms });
    for (let i = 0; i < 150; i++) {
      arms = threeArms().map((arm) => ({ ...arm, experiment: `x${i}` }));
      for (const arm of arms) metrics.armEnded(arm, 'done');
    }
    expect(await series(metrics, 'imagen_experiment_stopped')).toContain(
      'imagen_experiment_stopped{model="upscale",arm="x149/v2",reason="slow"} 0',
    );
  });

  it('which versions of the routes are served', async () => {
    const routed = () => ['2', '3'].map((version) => ({ model: 'upscale', version }));
    expect(await series(metricsOf({ catalogue: upscale, routed }), 'imagen_routed_version_served')).toEqual([
      'imagen_routed_version_served{model="upscale",version="2"} 1',
      'imagen_routed_version_served{model="upscale",version="3"} 0',
    ]);
  });

  it('dead letters from nothing on, so that the first is an increase', async () => {
    const metrics = metricsOf();
    metrics.deadLettered('WORKER_LOST');
    expect((await series(metrics, 'imagen_dead_letters_total')).sort()).toEqual([
      'imagen_dead_letters_total{code="INVALID_MESSAGE"} 0',
      'imagen_dead_letters_total{code="RETRIES_EXHAUSTED"} 0',
      'imagen_dead_letters_total{code="UNSUPPORTED_SCHEMA"} 0',
      'imagen_dead_letters_total{code="WORKER_LOST"} 1',
    ]);
  });
});

describe('what is read', () => {
  it('is what is so now, and no more what was', async () => {
    const facts = {
      catalogue: catalogueOf({ upscale: ['1'] }, ['enhance', 'upscale/2']),
      load: () => [{ model: 'upscale', version: '1', inFlight: 3, limit: 16, waiting: 5 }],
      paused: () => ['memory'] as const,
      tritonReady: () => true,
      circuitsOpen: () => ['upscale'],
      sick: () => [{ model: 'upscale', version: '1', replica: '10.0.0.7:8001', fault: 'process' as const }],
    };
    let now: Partial<Facts> = facts;
    const metrics = metricsOf({
      catalogue: facts.catalogue,
      load: () => now.load?.() ?? [],
      paused: () => now.paused?.() ?? [],
      tritonReady: () => now.tritonReady?.() ?? false,
      circuitsOpen: () => now.circuitsOpen?.() ?? [],
      sick: () => now.sick?.() ?? [],
    });
    expect(await series(metrics, 'imagen_inference_in_flight')).toEqual([
      'imagen_inference_in_flight{model="upscale",version="1"} 3',
    ]);
    expect(await series(metrics, 'imagen_inference_in_flight_limit')).toEqual([expect.stringMatching(/ 16$/)]);
    expect(await series(metrics, 'imagen_inference_waiting')).toEqual([expect.stringMatching(/ 5$/)]);
    expect(await series(metrics, 'imagen_model_ready')).toEqual([
      'imagen_model_ready{model="enhance"} 0',
      'imagen_model_ready{model="upscale"} 1',
    ]);
    expect(await series(metrics, 'imagen_model_circuit_open')).toEqual([
      'imagen_model_circuit_open{model="upscale"} 1',
    ]);
    expect(await series(metrics, 'imagen_replica_failing')).toEqual([
      'imagen_replica_failing{model="upscale",version="1",replica="10.0.0.7:8001",fault="process"} 1',
    ]);
    expect(await series(metrics, 'imagen_triton_ready')).toEqual(['imagen_triton_ready 1']);
    const paused = await series(metrics, 'imagen_intake_paused');
    expect(paused).toHaveLength(7);
    expect(paused.filter((line) => line.endsWith(' 1'))).toEqual(['imagen_intake_paused{reason="memory"} 1']);
    now = {};
    expect(await series(metrics, 'imagen_inference_in_flight')).toEqual([]);
    expect(await series(metrics, 'imagen_model_circuit_open')).toEqual([]);
    expect(await series(metrics, 'imagen_replica_failing')).toEqual([]);
    expect(await series(metrics, 'imagen_triton_ready')).toEqual(['imagen_triton_ready 0']);
    expect(await series(metrics, 'imagen_intake_paused')).not.toContain('imagen_intake_paused{reason="memory"} 1');
  });

  it('says what runs, and the memory that it may have', async () => {
    const metrics = metricsOf();
    expect(await series(metrics, 'imagen_build_info')).toEqual([
      'imagen_build_info{version="1.0.0",revision="abc",node="20",sharp="0.35"} 1',
    ]);
    expect(await series(metrics, 'imagen_memory_limit_bytes')).toEqual([`imagen_memory_limit_bytes ${memoryLimit()}`]);
    expect(memoryLimit()).toBeGreaterThan(process.memoryUsage().rss);
    expect(memoryLimit()).toBeLessThan(2 ** 50); // "unlimited" is no limit
  });
});

describe('shadows', () => {
  const shadowed = () => [{ model: 'upscale', version: '2' }];
  const which = { model: 'upscale', version: '2' };

  it('have all their ends from 0, and are counted by how they ended', async () => {
    const metrics = metricsOf({ catalogue: upscale, shadowed });
    const before = await series(metrics, 'imagen_shadows_total');
    expect(before).toContain('imagen_shadows_total{model="upscale",version="2",result="dropped",reason="busy"} 0');
    metrics.shadowEnded({ ...which, result: 'failed', reason: 'INFERENCE_FAILED' });
    metrics.shadowEnded({ ...which, result: 'dropped', reason: 'busy' });
    expect(await counted(metrics, 'imagen_shadows_total')).toEqual([
      'imagen_shadows_total{model="upscale",version="2",result="failed",reason="INFERENCE_FAILED"} 1',
      'imagen_shadows_total{model="upscale",version="2",result="dropped",reason="busy"} 1',
    ]);
    expect((await series(metrics, 'imagen_shadows_total')).length).toBe(before.length);
  });

  it('add their difference, their similarity and the ratio of the times', async () => {
    const metrics = metricsOf({ catalogue: upscale, shadowed });
    const difference = { maxLevels: 30, meanLevels: 3, shareAbove8: 0.1, similarity: 0.97 };
    const report = { difference, seconds: { job: 2, shadow: 3 } };
    metrics.shadowEnded({ ...which, result: 'compared', reason: '', report });
    metrics.shadowEnded({ ...which, result: 'compared', reason: '', report: { seconds: { job: 0, shadow: 1 } } });
    const of = 'model="upscale",version="2"';
    expect(await series(metrics, 'imagen_shadow_difference_levels_sum')).toEqual([
      `imagen_shadow_difference_levels_sum{${of},figure="mean"} 3`,
      `imagen_shadow_difference_levels_sum{${of},figure="max"} 30`,
    ]);
    expect(await series(metrics, 'imagen_shadow_similarity_sum')).toEqual([`imagen_shadow_similarity_sum{${of}} 0.97`]);
    expect(await series(metrics, 'imagen_shadow_inference_ratio_sum')).toEqual([
      `imagen_shadow_inference_ratio_sum{${of}} 1.5`,
    ]);
  });
});
