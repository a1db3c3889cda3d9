import { context, propagation, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ConfigError, readConfig, TRACING_SETTINGS } from '../../../src/config/index.js';
import type { VersionContract } from '../../../src/domain/contract.js';
import { GivenBack, JobError } from '../../../src/domain/errors.js';
import { atOnce } from '../../../src/pipeline/codec.js';
import { DEFAULT_COST } from '../../../src/pipeline/cost.js';
import { MOST_ATTEMPT_SPANS } from '../../../src/pipeline/attempts.js';
import { transformOnArm } from '../../../src/pipeline/fallback.js';
import { transform } from '../../../src/pipeline/transform.js';
import {
  addAttributes,
  contextIn,
  markFailed,
  inSpan,
  isSampled,
  traceHeaders,
  withoutSpans,
} from '../../../src/tracing/spans.js';
import { cloudTraceFields } from '../../../src/tracing/trace-fields.js';
import { isTracingOn } from '../../../src/tracing/tracing.js';
import { deferredAttributes, ownAttributes } from '../../../src/worker/defer.js';
import { memoryModels, modelOf } from '../../support/memory-models.js';

const ID = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const given = `00-${ID}-${PARENT}-01`;
const TURN = { apart: false, copies: 1 };
const read = (env: Record<string, string>) => readConfig(env, TRACING_SETTINGS);

describe('with an SDK', () => {
  const exporter = new InMemorySpanExporter();
  const spans = () => exporter.getFinishedSpans();

  beforeAll(() => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
    trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  });
  beforeEach(() => exporter.reset());
  afterAll(() => {
    trace.disable();
    context.disable();
    propagation.disable();
  });

  it.each([
    ['nothing', {}],
    ['a word', { traceparent: 'hostile' }],
    ['an empty id', { traceparent: `00-${'0'.repeat(32)}-${PARENT}-01` }],
    ['an empty parent', { traceparent: `00-${ID}-${'0'.repeat(16)}-01` }],
    ['capitals', { traceparent: given.toUpperCase() }],
    ['the forbidden version', { traceparent: `ff${given.slice(2)}` }],
    ['too much', { traceparent: `${given}-${'x'.repeat(100_000)}` }],
    ['line breaks', { traceparent: `${given}\r\nx: y` }],
    ['a state alone', { tracestate: 'a=b' }],
  ])('takes %s for no trace', (_name, attributes) => {
    expect(trace.getSpanContext(contextIn(attributes))).toBeUndefined();
  });

  it.each([
    ['an equals sign', '='],
    ['half of it wrong', 'a=b,,='],
    ['a zero', '\0'],
    ['endless', 'x'.repeat(100_000)],
    ['of one key', 'a='.repeat(500)],
    ['two lines', 'a=b\r\nc: d'],
  ])('takes the trace without harm where its state is %s', async (_name, tracestate) => {
    const parent = contextIn({ traceparent: given, tracestate });
    expect(trace.getSpanContext(parent)?.traceId).toBe(ID);
    const headers = await inSpan('x', { parent }, traceHeaders);
    expect(headers.traceparent).toContain(ID);
    expect(headers.tracestate ?? '').toMatch(/^[ -~]{0,512}$/);
  });

  it('takes a trace by the names of Google clients where there is none by W3C, and no baggage', () => {
    const attributes = { traceparent: 'hostile', googclient_traceparent: given, baggage: 'a=b' };
    const found = contextIn(attributes, ['', 'googclient_']);
    expect(trace.getSpanContext(found)?.spanId).toBe(PARENT);
    expect(propagation.getBaggage(found)).toBeUndefined();
    const other = `00-${ID}-aaaaaaaaaaaaaaaa-01`;
    const first = contextIn({ traceparent: other, googclient_traceparent: given }, ['', 'googclient_']);
    expect(trace.getSpanContext(first)?.spanId).toBe('aaaaaaaaaaaaaaaa');
  });

  it('asks for no attribute where nobody records', async () => {
    const parent = contextIn({ traceparent: `00-${ID}-${PARENT}-00` });
    const attributes = () => {
      throw new Error('asked for');
    };
    await inSpan('a', { parent, attributes }, () => inSpan('b', { attributes }, () => addAttributes(attributes)));
    expect(spans()).toEqual([]);
  });

  it('tells code and status of what was thrown, and of a job given back neither', async () => {
    const thrown = new JobError('INPUT_NOT_FOUND', 'no object');
    await expect(inSpan('a', {}, () => Promise.reject(thrown))).rejects.toBe(thrown);
    await expect(inSpan('b', {}, () => Promise.reject(new GivenBack('stopping')))).rejects.toThrow('stopping');
    await inSpan('c', {}, () => markFailed({ code: 'INTERNAL', message: 'x' }));
    const told = spans().map(({ status, attributes, events }) => [
      ...[status.code, attributes['error.type'], events.map(({ name }) => name)],
    ]);
    expect(told).toEqual([
      [2, 'INPUT_NOT_FOUND', []],
      [0, undefined, ['given back']],
      [2, 'INTERNAL', []],
    ]);
  });

  it('sends nothing below what is told without spans', async () => {
    await inSpan('a', {}, async () => {
      expect(isSampled()).toBe(true);
      await withoutSpans(() =>
        inSpan('b', {}, () => {
          expect(isSampled()).toBe(false);
        }),
      );
    });
    expect(spans().map(({ name }) => name)).toEqual(['a']);
  });

  it('gives Cloud Logging the active span', async () => {
    const fields = cloudTraceFields('p');
    expect(fields()).toEqual({});
    await inSpan('a', { parent: contextIn({ traceparent: given }) }, () => {
      expect(fields()).toEqual({
        'logging.googleapis.com/trace': `projects/p/traces/${ID}`,
        'logging.googleapis.com/spanId': trace.getActiveSpan()?.spanContext().spanId,
        'logging.googleapis.com/trace_sampled': true,
      });
    });
  });

  it('tells a picture of many tiles by its first attempts, retries among them, and counts the rest', async () => {
    let sent = 0;
    const contract = {
      plans: ['tile'],
      tileSizes: [8],
      margin: 0,
      scale: 1,
      parameters: {},
    } as unknown as VersionContract;
    const versions = new Map([['1', contract]]);
    const model = modelOf(versions);
    const models = memoryModels([model], ({ inputs: [image = expect.fail()] }) => {
      sent += 1;
      if (sent === 1) throw new JobError('INFERENCE_FAILED', 'once');
      return image;
    });
    const routed = { operation: { model: 'm' }, model, version: '1', contract, parameters: {} };
    const shape = { plan: 'tile' as const, width: 8, height: 8, requests: 100, ownShape: false };
    const raster = { width: 80, height: 80, rgb: Buffer.alloc(80 * 80 * 3) };
    await inSpan('infer m', {}, () =>
      transform(
        raster,
        { routed, shapes: [shape] },
        {
          ...{ models, predict: () => ({ ...DEFAULT_COST, jobsAtOnce: 1 }), priority: 'batch', codec: atOnce },
          schedule: ({ shape: window }, task) => task(window, TURN).catch(() => task(window, TURN)),
          signal: new AbortController().signal,
        },
      ),
    );
    expect(sent).toBe(101);
    const calls = spans().filter(({ name }) => name.endsWith('/ModelInfer'));
    expect(calls).toHaveLength(MOST_ATTEMPT_SPANS + 1);
    expect(calls.filter(({ status }) => status.code === SpanStatusCode.ERROR)).toHaveLength(1);
    expect(calls.filter(({ attributes }) => attributes['imagen.attempt'] === 2)).toHaveLength(1);
    expect(spans().at(-1)?.attributes).toMatchObject({
      'imagen.requests': 100,
      'imagen.attempts': 101,
      'imagen.attempts_failed': 1,
      'imagen.attempts_without_span': 100 - MOST_ATTEMPT_SPANS,
    });
  });

  it('tells an operation that falls back by the version that failed, with the other below it', async () => {
    const contract = { plans: ['whole'], scale: 1 } as unknown as VersionContract;
    const versions = new Map(['1', '2'].map((version) => [version, contract]));
    const model = modelOf(versions);
    const models = memoryModels([model], ({ version, inputs: [image = expect.fail()] }) => {
      if (version === '2') throw new JobError('MODEL_REJECTED_INPUT', 'no');
      return image;
    });
    const fallback = { operation: { model: 'm' }, model, version: '1', contract, parameters: {} };
    const arm = { model: 'm', experiment: 'x', revision: 'r', name: 'b', version: '2', defaultVersion: '1', weight: 1 };
    const shapes = [{ plan: 'whole' as const, width: 8, height: 8, requests: 1 }];
    const planned = { routed: { ...fallback, version: '2', arm }, shapes, fallback: { routed: fallback, shapes } };
    await inSpan('infer m', {}, () =>
      transformOnArm({ width: 8, height: 8, rgb: Buffer.alloc(192) }, planned, {
        ...{ models, predict: () => ({ ...DEFAULT_COST, jobsAtOnce: 1 }), priority: 'batch', codec: atOnce },
        ...{ schedule: ({ shape }, task) => task(shape, TURN), signal: new AbortController().signal },
        onFallback: () => undefined,
      }),
    );
    const [stage, below] = ['infer m', 'fall back m'].map((name) => spans().find((span) => span.name === name));
    expect(stage?.attributes).toMatchObject({ 'imagen.experiment': 'x', 'imagen.arm': 'b', 'imagen.version': '2' });
    expect(stage?.attributes).toMatchObject({ 'imagen.attempts': 1, 'imagen.attempts_failed': 1 });
    expect(stage?.events.map(({ name }) => name)).toEqual(['falls back']);
    expect(stage?.status.code).toBe(SpanStatusCode.UNSET);
    expect(below?.parentSpanContext?.spanId).toBe(stage?.spanContext().spanId);
    expect(below?.attributes).toMatchObject({ 'imagen.version': '1', 'imagen.attempts_failed': 0 });
  });
});

describe('a message that is put back', () => {
  const delivery = (attributes: Record<string, string>) => ({
    ...{ messageId: '1', data: Buffer.alloc(0), attributes, attempt: 1, publishedAt: new Date() },
  });

  it('keeps its trace, and that of a Google client under the names that may be published', () => {
    const own = { traceparent: given, tracestate: 'a=b', googclient_traceparent: 'x' };
    expect(deferredAttributes(delivery(own), { error: new Error('away'), awayMs: 0, counts: false })).toMatchObject({
      traceparent: given,
      tracestate: 'a=b',
    });
    const google = ownAttributes(delivery({ googclient_traceparent: given, googclient_tracestate: 'a=b' }));
    expect(google).toEqual({ traceparent: given, tracestate: 'a=b' });
  });
});

describe('tracing is off', () => {
  it.each([
    {},
    { OTEL_SDK_DISABLED: 'true', OTEL_TRACES_EXPORTER: 'otlp' },
    { OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://x:4318' },
  ])('with %j', (env) => expect(isTracingOn(read(env))).toBe(false));

  it.each([
    { OTEL_TRACES_EXPORTER: 'otlp' },
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://x:4318' },
    { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://x/v1/traces', OTEL_SDK_DISABLED: 'False' },
  ])('unless it is asked for: %j', (env) => expect(isTracingOn(read(env))).toBe(true));
});

it.each([
  ['OTEL_SDK_DISABLED', 'yes'],
  ['OTEL_TRACES_EXPORTER', 'jaeger'],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
  ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'grpc://collector:4317'],
  ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
  ['OTEL_TRACES_SAMPLER', 'sometimes'],
  ['OTEL_TRACES_SAMPLER_ARG', '1.5'],
  ['OTEL_BSP_SCHEDULE_DELAY', '-1'],
  ['OTEL_EXPORTER_OTLP_TIMEOUT', 'abc'],
  ['OTEL_EXPORTER_OTLP_TRACES_TIMEOUT', '0'],
  ['OTEL_EXPORTER_OTLP_COMPRESSION', 'zstd'],
  ['OTEL_EXPORTER_OTLP_TRACES_COMPRESSION', 'GZIP'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'authorization: Bearer x'],
  ['OTEL_EXPORTER_OTLP_TRACES_HEADERS', 'a=b,c'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'a=%zz'],
  ['OTEL_RESOURCE_ATTRIBUTES', 'a=b=c'],
  ['OTEL_RESOURCE_ATTRIBUTES', 'team'],
])('%s=%s is told by name', (name, value) => {
  expect(() => read({ [name]: value })).toThrow(ConfigError);
  expect(() => read({ [name]: value })).toThrow(`${name}: expected`);
});

it('shows no headers, and takes those that OpenTelemetry takes', () => {
  expect(() => read({ OTEL_EXPORTER_OTLP_HEADERS: 'x-key hunter2' })).toThrow(/given something else$/);
  const usable = {
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Basic%20YTpi==, x-a = b,',
    OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment=prod, team=a%3Db,empty=',
  };
  expect(read(usable)).toMatchObject({ otlpHeaders: usable.OTEL_EXPORTER_OTLP_HEADERS });
});
