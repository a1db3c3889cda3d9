/**
 * Records a job's trace as spans. It uses only OpenTelemetry's API, which does nothing until an SDK is loaded
 * (tracing/tracing.ts). Attributes are functions, since most jobs are not traced.
 */
import {
  type Attributes,
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
} from '@opentelemetry/api';
import { GivenBack } from '../domain/errors.js';

export { SpanKind } from '@opentelemetry/api';
export type { Attributes, Context } from '@opentelemetry/api';

const tracer = trace.getTracer('imagen');
const MAX_MESSAGE = 1_000;

export interface SpanAbout {
  readonly kind?: SpanKind;
  readonly attributes?: () => Attributes;
  /** Parent of the span. Default: the active span. */
  readonly parent?: Context;
}

/** Runs `work` in a span. It always ends the span, with the code and status of an error if there is one. */
export async function inSpan<T>(
  name: string,
  { kind = SpanKind.INTERNAL, attributes, parent }: SpanAbout,
  work: () => Promise<T> | T,
): Promise<T> {
  // Below an unrecorded span there are no recorded ones, so the context can stay as it is.
  if (!parent && trace.getActiveSpan()?.isRecording() === false) return work();
  const within = parent ?? context.active();
  const span = tracer.startSpan(name, { kind }, within);
  if (span.isRecording() && attributes) span.setAttributes(attributes());
  try {
    return await context.with(trace.setSpan(within, span), work);
  } catch (thrown) {
    if (span.isRecording()) tellFailure(span, thrown);
    throw thrown;
  } finally {
    span.end();
  }
}

/** Runs `work` below an unsampled span, so that its calls create no spans and send no headers. */
export function withoutSpans<T>(work: () => T): T {
  const active = trace.getActiveSpan();
  if (!active?.isRecording()) return work();
  const unsampled = { ...active.spanContext(), traceFlags: TraceFlags.NONE };
  return context.with(trace.setSpanContext(context.active(), unsampled), work);
}

/** Adds attributes to the active span, if it is recorded. */
export function addAttributes(attributes: () => Attributes): void {
  const span = trace.getActiveSpan();
  if (span?.isRecording()) span.setAttributes(attributes());
}

/** Adds an event to the active span, at this moment. */
export function addEvent(event: string, attributes?: Attributes): void {
  trace.getActiveSpan()?.addEvent(event, attributes);
}

/** Marks the active span as failed, without throwing. */
export function markFailed(error: Error | { readonly code: string; readonly message: string }): void {
  const span = trace.getActiveSpan();
  if (span?.isRecording()) tellFailure(span, error);
}

function tellFailure(span: Span, thrown: unknown): void {
  if (thrown instanceof GivenBack) {
    span.addEvent('given back', { reason: thrown.message });
    return;
  }
  const { code, name = 'Error', message = String(thrown) } = thrown as Partial<Error & { code: unknown }>;
  span.setAttribute('error.type', typeof code === 'string' ? code : name);
  span.setStatus({ code: SpanStatusCode.ERROR, message: message.slice(0, MAX_MESSAGE) });
}

type Carrier = Readonly<Record<string, string | undefined>>;

/**
 * The context in a carrier's W3C fields `traceparent` and `tracestate`, or in the same fields with a prefix. Invalid values
 * count as absent.
 * @param prefixes tried in order
 */
export function contextIn(carrier: Carrier, prefixes: readonly string[] = ['']): Context {
  for (const prefix of prefixes) {
    const found = propagation.extract(ROOT_CONTEXT, carrier, {
      keys: () => [],
      get: (from, key) => (Object.hasOwn(from, prefix + key) ? from[prefix + key] : undefined),
    });
    if (trace.getSpanContext(found)) return found;
  }
  return ROOT_CONTEXT;
}

/** W3C headers of the active trace, sampled or not; empty without a trace. */
export function traceHeaders(): Record<string, string> {
  const headers: Record<string, string> = {};
  propagation.inject(context.active(), headers);
  return headers;
}

export function isSampled(): boolean {
  return ((trace.getActiveSpan()?.spanContext().traceFlags ?? 0) & TraceFlags.SAMPLED) !== 0;
}
