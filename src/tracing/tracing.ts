/** Switches tracing on where OpenTelemetry's own variables ask for it; only then is its SDK loaded. */

export interface Tracing {
  /** Sends what has not been sent yet, and settles within `limitMs` whatever becomes of it. */
  stop(limitMs: number): Promise<void>;
}

export type TracingProblem = 'spans are lost' | 'a problem with tracing';
/** Told, now and then, outside any trace: what is wrong, and why in one line. */
export type OnTracingProblem = (what: TracingProblem, reason: string) => void;

/** As src/config/index.ts reads them. */
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

/** @param instance of the service: the worker's name */
export async function startTracing(
  config: TracingConfig,
  instance: string | undefined,
  onProblem: OnTracingProblem,
): Promise<Tracing> {
  if (!isTracingOn(config)) return { stop: () => Promise.resolve() };
  const { startSdk } = await import('./sdk.js');
  return startSdk(instance, onProblem);
}
