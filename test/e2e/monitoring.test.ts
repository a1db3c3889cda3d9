/** A real Prometheus asks real workers, a real Triton and the exporter what dashboards and alerts ask them. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { dashboards } from '../../scripts/release/dashboards/index.js';
import { GPU, selectorsIn } from '../support/other-metrics.js';
import { filledIn, queriesOf } from '../support/queries.js';
import { ruleGroups } from '../../scripts/dev/parts/rules.js';
import { exporter } from '../../scripts/dev/parts/backlog.js';
import { answers } from '../../scripts/dev/parts/probe.js';
import { which } from '../../scripts/dev/stack/paths.js';
import { freePort } from '../../scripts/dev/stack/ports.js';
import { OwnTriton } from '../support/own-triton.js';
import { hurried, type Prometheus, startPrometheus } from '../support/prometheus.js';
import { createExperiment } from '../support/routes.js';
import { createScene, type Scene, showOnFailure, until, type WorkerProcess } from '../support/scene.js';

/** What a Triton with a GPU serves: no test machine has one. Values of a T4 at work. */
const RECORDED = {
  nv_gpu_utilization: 0.62,
  nv_gpu_memory_used_bytes: 9_412_018_176,
  nv_gpu_memory_total_bytes: 16_106_127_360,
};

const HEALTHY_MS = 7_000;
const BACKLOG = 'pubsub_googleapis_com:subscription_num_undelivered_messages';

describe.skipIf(which('prometheus') === undefined)('what is shown and told', () => {
  const triton = new OwnTriton('monitoring', { TRITON_WATCHDOG: 'off' });
  const closers: (() => unknown)[] = [];
  let scene: Scene;
  let worker: WorkerProcess;
  let prometheus: Prometheus;
  let uri: string;
  let count = 0;

  const publish = (operation: string | object, more: object = {}) =>
    scene.publish({ jobId: `job-${++count}`, operations: [operation], input: { uri }, ...more });
  const firing = async () =>
    (await prometheus.query('ALERTS{alertstate="firing"}')).map(({ metric }) => metric.alertname ?? '');
  const tells = (alert: string) =>
    until(
      async () => (await firing()).includes(alert),
      20_000,
      () => `${alert} did not fire`,
    );
  const backlog = async () => (await prometheus.query(`sum(${BACKLOG})`))[0]?.value;

  /** What has not been seen to return a number yet, by where it is asked. */
  const unseen = new Map<string, string>([
    ...Object.entries(dashboards).flatMap(([name, board]) =>
      queriesOf(board.build()).map(({ panel, expr }) => [`${name}: ${panel}: ${expr}`, filledIn(expr, '5s')] as const),
    ),
    ...hurried(ruleGroups()).flatMap(({ rules }) =>
      rules.flatMap(({ alert, record, expr }) =>
        selectorsIn(expr).map((selector) => [`${alert ?? record ?? ''}: ${selector}`, selector] as const),
      ),
    ),
  ]);
  async function look(): Promise<void> {
    for (const [where, expr] of unseen) {
      if ((await prometheus.query(expr)).some(({ value }) => Number.isFinite(value))) unseen.delete(where);
    }
  }

  const extraBucket = `extra-${randomUUID()}`;

  beforeAll(async () => {
    const experiment = await createExperiment({ echo: { default: '1', shadow: { version: '2', share: 1 } } });
    closers.push(() => experiment.remove());
    await experiment.write(0, 1);
    const recorded: Server = createServer((_, response) => {
      const lines = Object.entries(RECORDED).map(([name, value]) => `${name}{gpu_uuid="GPU-0"} ${value}\n`);
      response.setHeader('content-type', 'text/plain; version=0.0.4').end(lines.join(''));
    }).listen(0, '127.0.0.1');
    await Promise.all([triton.start(), once(recorded, 'listening')]);
    closers.push(() => recorded.close());
    scene = await createScene({
      ...{ TRITON_URL: triton.url, IMAGEN_MAX_JOBS: '4', IMAGEN_MODEL_WAIT_SECONDS: '1' },
      ...{ IMAGEN_ROUTES_FILE: experiment.path, IMAGEN_INFERENCE_ATTEMPTS: '1' },
      IMAGEN_SHADOW_PREFIX: `gs://shadows-${randomUUID()}`,
      IMAGEN_JOBS_SUBSCRIPTIONS: `imagen-jobs-worker-${randomUUID()}`, // alerts know subscriptions by how they begin
    });
    const picture = sharp({ create: { width: 48, height: 48, channels: 3, background: '#456' } });
    uri = await scene.upload('a.png', await picture.png().toBuffer());

    const port = await freePort();
    const { command, args } = exporter(port);
    const counting = spawn(command, args, { env: scene.env, stdio: ['ignore', 'pipe', 'inherit'] });
    closers.push(() => counting.kill());
    // Nothing is published before both are there.
    await scene.storage.createBucket(extraBucket);
    const outputs = `${scene.env.IMAGEN_ALLOWED_OUTPUTS},gs://${extraBucket}`;
    [worker] = await Promise.all([
      scene.startWorker({ IMAGEN_ALLOWED_OUTPUTS: outputs }),
      once(counting.stdout, 'data'),
    ]);
    expect(await answers(`http://127.0.0.1:${port}/metrics`)).toBe(true);
    prometheus = await startPrometheus(
      {
        'imagen-worker': [worker.port],
        triton: [triton.metricsPort],
        backlog: [port],
        recorded: [(recorded.address() as AddressInfo).port],
      },
      inject('stack').marker,
    );
    closers.push(() => prometheus.close());
    // Before it has asked anybody it knows of no worker, and three of its seconds are soon over.
    const settled = 'sum(up) == count(up) unless count(ALERTS) > 0';
    await until(async () => (await prometheus.query(settled)).length > 0, 20_000);
  });
  afterAll(async () => {
    await Promise.all([scene.close(), triton.down(), ...closers.map((close) => close())]);
  });

  it('records in the shape of a GPU what a GPU serves', () => {
    expect(Object.keys(RECORDED)).toEqual(GPU);
  });

  it('tells nothing of a healthy run', async () => {
    showOnFailure(worker);
    const healthyUntil = Date.now() + HEALTHY_MS;
    while (Date.now() < healthyUntil) {
      await Promise.all(['echo', 'style_aged', 'sleep'].map((model) => publish(model)));
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    await scene.completions(count);
    expect(await firing()).toEqual([]);
    const lately = `count_over_time(ALERTS{alertstate="firing"}[${HEALTHY_MS}ms])`;
    expect(await prometheus.query(lately)).toEqual([]);
    await look();
  });

  it('tells of a message that cannot be read, and counts it and what is published twice once each', async () => {
    await scene.publishRaw('not a job');
    await scene.publish({ jobId: 'job-1', operations: ['echo'], input: { uri } });
    // At once, so that there is no look in between: a series must have been there before.
    await Promise.all([1, 2, 3].map(() => publish('echo', { input: { uri: 'gs://somebody-elses/picture.png' } })));
    await tells('DeadLetters');
    await tells('AccessDenied');
    await until(
      async () => (await backlog()) === 0,
      10_000,
      () => 'the backlog is not empty',
    );
    await look();
  });

  it('tells of an arm that was stopped, and of nothing that fails, since the default version does it', async () => {
    const before = scene.published.length;
    for (let i = 0; i < 6; i++) await publish('failing');
    await scene.completions(before + 6);
    await tells('CanaryStopped');
    expect(await firing()).not.toContain('ErrorRatio');
    await look();
  });

  it('tells of a model that was unloaded, and counts what is put back once', async () => {
    await triton.unload('echo');
    const before = scene.published.length;
    for (let i = 0; i < 8; i++) await publish('echo');
    await tells('ModelUnavailable');
    await until(async () => (await worker.metric('imagen_deferred_total')) >= 3, 15_000, worker.log);
    expect(await backlog()).toBe(8);
    await look();
    await triton.load('echo');
    await scene.completions(before + 8);
    await until(
      async () => (await backlog()) === 0,
      10_000,
      () => 'the backlog is not empty',
    );
  });

  it('tells of a bucket that is gone, and goes on when it is back', async () => {
    await scene.storage.bucket(extraBucket).delete();
    const before = scene.published.length;
    await publish('echo', { output: { prefix: `gs://${extraBucket}/` } });
    await tells('BucketUnavailable');
    await look();
    await scene.storage.createBucket(extraBucket);
    await scene.completions(before + 1);
  });

  it('tells of a replica that answers and has no process for a model', async () => {
    triton.killModel('mortal');
    const before = scene.published.length;
    await publish('mortal');
    await tells('ReplicaFailing');
    await look();
    await triton.reload('mortal');
    await scene.completions(before + 1);
  });

  it('asks a second worker, too, and shows what a first one gives back when it stops', async () => {
    // Longer than Prometheus needs to ask twice before the first worker has done what it has begun.
    for (let i = 0; i < 7; i++) await publish({ model: 'sleep', parameters: { ms: 3_000 } });
    await until(async () => (await worker.metric('imagen_jobs_waiting')) > 0, 10_000, worker.log);
    worker.signal('SIGTERM');
    const second = await scene.startWorker();
    await prometheus.watch([second.port]);
    await until(async () => (await prometheus.query('up{job="imagen-worker"} == 1')).length > 0, 10_000);
    // A rate takes two looks at a worker that will soon be gone.
    const missed = () => [...unseen.keys()].filter((where) => where.includes('imagen_given_back_total'));
    await until(
      async () => {
        await look();
        return missed().length === 0;
      },
      10_000,
      () => missed().join('\n'),
    );
    worker = second;
  });

  it('tells of a Triton that was killed', async () => {
    showOnFailure(worker);
    triton.kill();
    for (let i = 0; i < 4; i++) await publish('echo');
    await tells('TritonNotReady');
  });

  it('has had an answer to everything that dashboards and alerts ask', async () => {
    await until(
      async () => {
        await look();
        return unseen.size === 0;
      },
      10_000,
      () => [...unseen.keys()].join('\n'),
    );
  });
});
