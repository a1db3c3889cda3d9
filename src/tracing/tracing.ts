/** Turns tracing on if OpenTelemetry's environment variables ask for it. Only then does it load the SDK. */
import type { OnTracingProblem, Tracing } from './types.js';

/** The settings that src/config/index.ts reads. */
export interface TracingConfig {
  readonly otelDisabled: boolean | undefined;
  readonly tracesExporter: 'otlp' | 'none' | undefined;
  readonly otlpEndpoint: string | undefined;
  readonly otlpTracesEndpoint: string | undefined;
}

export function isTracingOn(config: TracingConfig): boolean {
  const { tracesExporter, otlpEndpoint, otlpTracesEndpoint, otelDisabled } = config;
  if (otelDisabled || tracesExporter === 'none') return false;
  return tracesExporter === 'otlp' || otlpEndpoint !== undefined || otlpTracesEndpoint !== undefined;
}

/** @param instance name of the worker, as the service instance */
export async function startTracing(
  config: TracingConfig,
  instance: string | undefined,
  onProblem: OnTracingProblem,
): Promise<Tracing> {
  if (!isTracingOn(config)) return { stop: () => Promise.resolve() };
  const { startSdk } = await import('./sdk.js');
  return startSdk(instance, onProblem);
}
