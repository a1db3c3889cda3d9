/** OpenTelemetry's SDK: loaded by tracing.ts alone. What is not said here it reads from its own variables. */
import { setTimeout as sleep } from 'node:timers/promises';
import { context, diag, DiagLogLevel, propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { OnTracingProblem, Tracing, TracingProblem } from './tracing.js';

const SERVICE = 'imagen';
/** A collector that is away fails every batch; one warning of a kind in that time says as much. */
const QUIET_MS = 30_000;
const MAX_REASON = 500;
/** Of what the SDK warns of, that which tells of spans that nobody will see. */
const LOSS = /^(?:Dropped \d+ spans|Received Partial Success)/;

export function startSdk(instance: string | undefined, onProblem: OnTracingProblem): Tracing {
  const toldAt = new Map<TracingProblem, number>();
  const tell = (what: TracingProblem, reason: string) => {
    if (performance.now() - (toldAt.get(what) ?? -Infinity) < QUIET_MS) return;
    toldAt.set(what, performance.now());
    // Batches are sent in the context of whatever span happened to start the timer.
    context.with(ROOT_CONTEXT, () => onProblem(what, reason.replace(/\s+/g, ' ').slice(0, MAX_REASON)));
  };
  const warn = (message: string, ...details: unknown[]) =>
    tell(LOSS.test(message) ? 'spans are lost' : 'a problem with tracing', [message, ...details].map(String).join(' '));
  const lost = (error: unknown) => tell('spans are lost', reasonOf(error));
  const silent = () => undefined;
  diag.setLogger(
    { error: warn, warn, info: silent, debug: silent, verbose: silent },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  setGlobalErrorHandler(lost);
  const ours = { 'service.name': SERVICE, ...(instance === undefined ? {} : { 'service.instance.id': instance }) };
  const provider = new BasicTracerProvider({
    // The environment's come last, and win.
    resource: defaultResource()
      .merge(resourceFromAttributes(ours))
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator()); // and no other: baggage is not read
  trace.setGlobalTracerProvider(provider);
  return {
    async stop(limitMs) {
      const sent = provider.shutdown().catch(lost);
      const late = sleep(limitMs, 'late', { ref: false });
      if ((await Promise.race([sent, late])) === 'late') lost(`the collector did not take them within ${limitMs} ms`);
    },
  };
}

/** In words: what many addresses refuse has no message of its own, and what HTTP refuses has a status. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join(', ');
  if (!(error instanceof Error)) return String(error);
  const { code } = error as { code?: unknown };
  return typeof code === 'number' ? `${code} ${error.message}` : error.message || error.name;
}
