import type { Size } from '../domain/raster.js';
import { inSpan, SpanKind, withoutSpans } from '../tracing/spans.js';
import type { Routed } from './routed.js';

/**
 * Limit of first attempts of one operation that get a span of their own, because a picture can have a thousand tiles. Later
 * attempts have a limit of the same size, because they are the ones of interest.
 */
export const MOST_ATTEMPT_SPANS = 64;

/** Span name by OpenTelemetry's conventions for RPC. */
const RPC = 'inference.GRPCInferenceService/ModelInfer';

/** Counts the attempts at the requests of one operation, and makes a span for each up to the limit. */
export function createAttempts({ model, version }: Routed) {
  let made = 0;
  let failed = 0;
  const told = { first: 0, later: 0 };
  return {
    ofOneRequest() {
      const askedAt = performance.now();
      let attempt = 0;
      return async <T>({ width, height }: Size, work: () => Promise<T>): Promise<T> => {
        const waitedMs = Math.round(performance.now() - askedAt);
        made++;
        attempt++;
        const attributes = () => ({
          'rpc.system': 'grpc',
          'rpc.service': 'inference.GRPCInferenceService',
          'rpc.method': 'ModelInfer',
          'imagen.model': model.model,
          'imagen.version': version,
          'imagen.shape': [height, width, 3],
          'imagen.attempt': attempt,
          'imagen.since_ready_ms': waitedMs,
        });
        try {
          const kind = attempt === 1 ? 'first' : 'later';
          if (told[kind] === MOST_ATTEMPT_SPANS) return await withoutSpans(work);
          told[kind]++;
          return await inSpan(RPC, { kind: SpanKind.CLIENT, attributes }, work);
        } catch (thrown) {
          failed++;
          throw thrown;
        }
      };
    },
    counted: () => ({
      'imagen.attempts': made,
      'imagen.attempts_failed': failed,
      'imagen.attempts_without_span': made - told.first - told.later,
    }),
  };
}
