/**
 * OpenTelemetry's own variables for the parts of its SDK that are used here. The SDK reads most of them itself, but does
 * not report values that it cannot use.
 */
import { attributes, headers, httpUrl, oneOf, ratio, wholeNumber, yesOrNo } from './readers.js';
import { setting } from './setting.js';

export const OPENTELEMETRY_SETTINGS = {
  otelDisabled: setting('OTEL_SDK_DISABLED', yesOrNo, 'true: no traces, whatever else is set', null),
  tracesExporter: setting(
    'OTEL_TRACES_EXPORTER',
    oneOf('otlp', 'none'),
    'otlp: traces are exported; so they are when an endpoint is set',
    null,
  ),
  otlpEndpoint: setting(
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    httpUrl,
    'Base address of the collector of traces; otlp without one is http://localhost:4318',
    null,
  ),
  otlpTracesEndpoint: setting(
    'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
    httpUrl,
    'Full address for traces, in place of the base address',
    null,
  ),
  otlpProtocol: setting(
    'OTEL_EXPORTER_OTLP_PROTOCOL',
    oneOf('http/protobuf'),
    'How traces travel: there is no other way',
    null,
  ),
  otlpTracesProtocol: setting(
    'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL',
    oneOf('http/protobuf'),
    'The same, for traces alone',
    null,
  ),
  tracesSampler: setting(
    'OTEL_TRACES_SAMPLER',
    oneOf(
      ...(['always_on', 'always_off', 'traceidratio'] as const),
      ...(['parentbased_always_on', 'parentbased_always_off', 'parentbased_traceidratio'] as const),
    ),
    'Which traces are kept; unset: what the publisher says, and all that begin here',
    null,
  ),
  tracesSamplerArg: setting('OTEL_TRACES_SAMPLER_ARG', ratio, 'The part that the ratio samplers keep', null),
  spanQueueSize: setting('OTEL_BSP_MAX_QUEUE_SIZE', wholeNumber(1, 1_000_000), 'Spans that wait at most', null),
  spanBatchSize: setting(
    'OTEL_BSP_MAX_EXPORT_BATCH_SIZE',
    wholeNumber(1, 1_000_000),
    'Spans sent at once at most',
    null,
  ),
  spanDelay: setting('OTEL_BSP_SCHEDULE_DELAY', wholeNumber(1, 3_600_000), 'Milliseconds between two batches', null),
  spanTimeout: setting('OTEL_BSP_EXPORT_TIMEOUT', wholeNumber(1, 3_600_000), 'Milliseconds for one batch', null),
  otlpTimeout: setting(
    'OTEL_EXPORTER_OTLP_TIMEOUT',
    wholeNumber(1, 3_600_000),
    'Milliseconds for the attempts to send one batch',
    null,
  ),
  otlpTracesTimeout: setting(
    'OTEL_EXPORTER_OTLP_TRACES_TIMEOUT',
    wholeNumber(1, 3_600_000),
    'The same, for traces alone',
    null,
  ),
  otlpCompression: setting(
    'OTEL_EXPORTER_OTLP_COMPRESSION',
    oneOf('none', 'gzip'),
    'How batches are packed; unset: none',
    null,
  ),
  otlpTracesCompression: setting(
    'OTEL_EXPORTER_OTLP_TRACES_COMPRESSION',
    oneOf('none', 'gzip'),
    'The same, for traces alone',
    null,
  ),
  otlpHeaders: setting('OTEL_EXPORTER_OTLP_HEADERS', headers, 'Headers for the collector: key=value,key=value', null),
  otlpTracesHeaders: setting('OTEL_EXPORTER_OTLP_TRACES_HEADERS', headers, 'The same, for traces alone', null),
  resourceAttributes: setting(
    'OTEL_RESOURCE_ATTRIBUTES',
    attributes,
    'What all spans say of their service: key=value,key=value',
    null,
  ),
};
