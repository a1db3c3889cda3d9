import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ReceivedSpan, type Receiver, startReceiver } from '../support/otlp.js';
import { runProgram } from '../support/program.js';
import { CLI, createScene, type Scene, showOnFailure, until } from '../support/scene.js';

const photo = new URL('../fixtures/photos/chelsea.jpg', import.meta.url).pathname;
const RPC = 'inference.GRPCInferenceService/ModelInfer';
/** Spans that were to be sent have been by then: it is longer than the worker and Triton wait for more of them, in milliseconds. */
const SENT_MS = 600;
const [INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER] = [1, 2, 3, 4, 5];

describe('a trace', () => {
  let scene: Scene;
  let receiver: Receiver;

  beforeAll(async () => {
    receiver = await startReceiver(inject('stack').otlpPort);
    scene = await createScene({
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${receiver.port}`,
      OTEL_BSP_SCHEDULE_DELAY: '100',
    });
  });
  afterAll(async () => {
    await scene.close();
    await receiver.close();
  });

  const named = (spans: readonly ReceivedSpan[], name: string) => spans.filter((span) => span.name === name);
  const only = (spans: readonly ReceivedSpan[], name: string): ReceivedSpan => {
    const [span, ...others] = named(spans, name);
    if (!span || others.length > 0) throw new Error(`${others.length + (span ? 1 : 0)} spans ${name}`);
    return span;
  };
  const ofTrace = (traceId: string | undefined) => receiver.spans.filter((span) => span.traceId === traceId);

  /**
   * A chain of two: its worker's spans, and Triton's where it sends any. Triton's exporter now and then loses what ends while
   * it sends something else (seen with 2.51: of two requests, only the first one's spans ever arrived). So a trace that
   * lacks Triton's spans is made again, with another job, up to three times.
   */
  async function traced(transport: string): Promise<readonly ReceivedSpan[]> {
    const fromTriton = transport !== 'stream' && inject('stack').otlpPort !== undefined;
    for (let i = 1; ; i++) {
      const traceId = await traceOf(transport, `traced-${transport}-${i}`);
      const count = (name: string) => named(ofTrace(traceId), name).length;
      const seen = () => `${count('compute')} of ${count(RPC)} at Triton`;
      try {
        await until(() => !fromTriton || count('compute') >= count(RPC), 4_000, seen);
        return ofTrace(traceId);
      } catch (lost) {
        if (i === 3) throw lost;
      }
    }
  }

  /** @returns the id of the trace of a job of two operations whose worker has sent all its spans */
  async function traceOf(transport: string, jobId: string): Promise<string | undefined> {
    const worker = await scene.startWorker({ IMAGEN_TRITON_TRANSPORT: transport });
    showOnFailure(worker);
    const args = ['-p', 'echo,style_aged', '--max-width', '64', '--job-id', jobId, '--wait'];
    const { code, stderr } = await scene.imagen('submit', photo, ...args);
    expect(code, stderr).toBe(0);
    // All that it has is sent before it ends.
    worker.signal('SIGTERM');
    expect(await worker.exit).toBe(0);
    const root = receiver.spans.find((span) => span.attributes['imagen.job_id'] === jobId && span.parentId === '');
    const [announced] = await scene.completions(1, jobId);
    expect(announced?.attributes.traceparent).toContain(root?.traceId ?? 'no trace');
    return root?.traceId;
  }

  it.each(['unary', 'shm'])('is one tree from the publisher into Triton: %s', async (transport) => {
    const spans = await traced(transport);
    const parentOf = (span: ReceivedSpan) => spans.find(({ spanId }) => spanId === span.parentId);
    expect(spans.filter((span) => !parentOf(span)).map(({ name }) => name)).toEqual(['imagen submit']);

    const sent = only(spans, `send ${scene.env.IMAGEN_JOBS_TOPIC}`);
    expect(sent).toMatchObject({ kind: PRODUCER, service: 'imagen' });
    const consumed = only(spans, `process ${scene.env.IMAGEN_JOBS_SUBSCRIPTIONS}`);
    expect(consumed).toMatchObject({ kind: CONSUMER, parentId: sent.spanId, status: { code: 0 } });
    expect(consumed.attributes).toMatchObject({
      'messaging.system': 'gcp_pubsub',
      'messaging.message.id': sent.attributes['messaging.message.id'],
      'messaging.destination.subscription.name': scene.env.IMAGEN_JOBS_SUBSCRIPTIONS,
      'messaging.gcp_pubsub.message.delivery_attempt': 1,
      'imagen.job_id': expect.stringMatching(`^traced-${transport}-`) as string,
      'imagen.models': ['echo', 'style_aged'],
      'imagen.status': 'succeeded',
    });
    expect(consumed.events).toEqual(['in work', 'ack']);

    const stages = spans.filter(({ parentId }) => parentId === consumed.spanId);
    stages.sort((a, b) => Number(a.start - b.start));
    const expected = [
      'recall',
      'begin',
      'route',
      'target',
      'fetch',
      'header',
      'plan',
      'memory',
      'decode',
      'format',
      'infer echo',
      'infer style_aged',
    ];
    expect(stages.map(({ name }) => name)).toEqual([
      ...expected,
      ...['encode', 'store', 'record', `send ${scene.env.IMAGEN_COMPLETIONS_TOPIC}`],
    ]);
    for (const stage of stages) expect(stage.end >= stage.start && stage.end <= consumed.end).toBe(true);

    const calls = named(spans, RPC);
    for (const [i, model] of ['echo', 'style_aged'].entries()) {
      const step = only(spans, `infer ${model}`);
      const mine = calls.filter(({ parentId }) => parentId === step.spanId);
      expect(step).toMatchObject({ kind: INTERNAL, attributes: { 'imagen.model': model } });
      expect(mine.length, String(i)).toBe(step.attributes['imagen.requests']);
      expect(mine[0]).toMatchObject({
        kind: CLIENT,
        attributes: { 'imagen.transport': transport, 'imagen.attempt': 1 },
      });
    }
    if (inject('stack').otlpPort === undefined) return;
    const served = spans.filter(({ service, kind }) => service === 'triton' && kind === SERVER);
    for (const call of calls) {
      expect(served.filter(({ parentId }) => parentId === call.spanId).map(({ name }) => name)).toEqual([
        'InferRequest',
      ]);
    }
  });

  it('ends at the call where a stream carries it: its metadata is that of all its requests', async () => {
    const spans = await traced('stream');
    expect(named(spans, RPC).length).toBeGreaterThan(0);
    expect(new Set(spans.map(({ service }) => service))).toEqual(new Set(['imagen']));
  });

  it('is told as lost by the command whose collector is away, which does its work all the same', async () => {
    const env = { ...scene.env, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' };
    const args = ['submit', photo, '-p', 'echo', '--job-id', 'lost'];
    const { code, stderr } = await runProgram(process.execPath, [CLI, ...args], env);
    expect(code, stderr).toBe(0);
    expect(stderr).toContain('published  lost: echo');
    expect(stderr.split('\n').filter((line) => line.startsWith('spans are lost: '))).toHaveLength(1);
  });

  it('costs a worker no module of the SDK while it is off', async () => {
    const files = `Object.keys(createRequire('/').cache).filter((file) => /@opentelemetry.(sdk-trace|exporter)/.test(file))`;
    const say = `process.on('exit', () => console.error('loaded ' + ${files}.length))`;
    const hook = `data:text/javascript,import { createRequire } from 'node:module'; ${say}`;
    const loaded = async (env: Readonly<Record<string, string>>) => {
      const worker = await scene.startWorker({ NODE_OPTIONS: `--import="${hook}"`, ...env });
      worker.signal('SIGTERM');
      await worker.exit;
      return Number(/loaded (\d+)/.exec(worker.log())?.[1]);
    };
    expect(await loaded({ OTEL_SDK_DISABLED: 'true' })).toBe(0);
    expect(await loaded({})).toBeGreaterThan(0);
  });

  it('tells of a job that fails, and takes the trace that a Google client has written', async () => {
    showOnFailure(await scene.startWorker());
    const id = '0af7651916cd43dd8448eb211c80319c';
    const data = Buffer.from(
      JSON.stringify({ jobId: 'traced-failing', operations: ['nonsense'], input: { uri: 'gs://x/y' } }),
    );
    const attributes = { traceparent: 'hostile', googclient_traceparent: `00-${id}-b7ad6b7169203331-01` };
    await scene.pubsub.topic(scene.env.IMAGEN_JOBS_TOPIC).publishMessage({ data, attributes });
    await scene.completions(1, 'traced-failing');
    await until(() => ofTrace(id).some(({ kind }) => kind === CONSUMER), 10_000);
    const consumed = only(ofTrace(id), `process ${scene.env.IMAGEN_JOBS_SUBSCRIPTIONS}`);
    expect(consumed).toMatchObject({ parentId: 'b7ad6b7169203331', status: { code: 2 } });
    expect(consumed.attributes).toMatchObject({ 'error.type': 'UNKNOWN_MODEL', 'imagen.status': 'failed' });
    expect(only(ofTrace(id), 'route').status.code).toBe(2);
  });

  it('is not made where the publisher has decided so, and nothing reaches Triton', async () => {
    showOnFailure(await scene.startWorker());
    const id = '1bf7651916cd43dd8448eb211c80319d';
    const data = JSON.stringify({
      jobId: 'untraced',
      operations: ['echo'],
      input: { uri: await scene.upload('a.png', await png()) },
    });
    const attributes = { traceparent: `00-${id}-b7ad6b7169203331-00` };
    await scene.pubsub.topic(scene.env.IMAGEN_JOBS_TOPIC).publishMessage({ data: Buffer.from(data), attributes });
    const [announced] = await scene.completions(1, 'untraced');
    expect(announced?.completion.status).toBe('succeeded');
    expect(announced?.attributes.traceparent).toMatch(new RegExp(`^00-${id}-[0-9a-f]{16}-00$`));
    await sleep(SENT_MS);
    expect(ofTrace(id)).toEqual([]);
  });
});

function png(): Promise<Buffer> {
  return sharp({ create: { width: 16, height: 16, channels: 3, background: '#123456' } })
    .png()
    .toBuffer();
}
