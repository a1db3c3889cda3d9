import { isSpanContextValid, trace, TraceFlags } from '@opentelemetry/api';

/**
 * The fields that connect a log line with its trace in Cloud Logging; empty outside a trace.
 * @returns a function to call for every line
 */
export function cloudTraceFields(projectId: string): () => Record<string, unknown> {
  return () => {
    const span = trace.getActiveSpan()?.spanContext();
    if (!span || !isSpanContextValid(span)) return {};
    return {
      'logging.googleapis.com/trace': `projects/${projectId}/traces/${span.traceId}`,
      'logging.googleapis.com/spanId': span.spanId,
      'logging.googleapis.com/trace_sampled': (span.traceFlags & TraceFlags.SAMPLED) !== 0,
    };
  };
}
