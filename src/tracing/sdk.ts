/**
 * Starts OpenTelemetry's SDK. Only tracing.ts loads this file. The SDK reads all other settings from its own environment
 * variables.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { context, diag, DiagLogLevel, propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { setGlobalErrorHandler, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { OnTracingProblem, Tracing, TracingProblem } from './types.js';

const SERVICE = 'imagen';
/** Shortest pause between two warnings of one kind, in milliseconds. While a collector is away, every batch fails. */
const QUIET_MS = 30_000;
const MAX_REASON = 500;
/** SDK warnings that report lost spans. */
const LOSS = /^(?:Dropped \d+ spans|Received Partial Success)/;

export function startSdk(instance: string | undefined, onProblem: OnTracingProblem): Tracing {
  const toldAt = new Map<TracingProblem, number>();
  const tell = (what: TracingProblem, reason: string) => {
    if (performance.now() - (toldAt.get(what) ?? -Infinity) < QUIET_MS) return;
    toldAt.set(what, performance.now());
    // A batch is sent in the context of the span that started the timer, so leave that context.
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
    // The environment's attributes come last and take precedence.
    resource: defaultResource()
      .merge(resourceFromAttributes(ours))
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator()); // the only propagator: baggage is not read
  trace.setGlobalTracerProvider(provider);
  return {
    async stop(limitMs) {
      const sent = provider.shutdown().catch(lost);
      const late = sleep(limitMs, 'late', { ref: false });
      if ((await Promise.race([sent, late])) === 'late') lost(`the collector did not take them within ${limitMs} ms`);
    },
  };
}

/** Describes an error. A refusal by several addresses has no message of its own, and a refusal by HTTP has a status. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(reasonOf).join(', ');
  if (!(error instanceof Error)) return String(error);
  const { code } = error as { code?: unknown };
  return typeof code === 'number' ? `${code} ${error.message}` : error.message || error.name;
}
