/** OpenTelemetry's SDK: loaded by tracing.ts alone. What is not said here it reads from its own variables. */
import { setTimeout as sleep } from 'node:timers/promises';
import { context, diag, DiagLogLevel, propagation, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';
import type { Tracing } from './tracing.js';

const SERVICE = 'imagen';
/** A collector that is away fails every batch; one warning in that time says as much. */
const QUIET_MS = 30_000;

export function startSdk(instance: string | undefined, onProblem: (message: string) => void): Tracing {
  let toldAt = -Infinity;
  const tell = (message: string) => {
    if (performance.now() - toldAt < QUIET_MS) return;
    toldAt = performance.now();
    onProblem(message);
  };
  const silent = () => undefined;
  diag.setLogger(
    { error: tell, warn: tell, info: silent, debug: silent, verbose: silent },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
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
      const sent = provider.shutdown().catch((error: unknown) => tell(String(error)));
      await Promise.race([sent, sleep(limitMs, undefined, { ref: false })]);
    },
  };
}
