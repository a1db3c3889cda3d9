/**
 * OpenTelemetry's own variables for the parts of its SDK that are used here. The SDK reads most of them itself, but does
 * not report values that it cannot use.
 */
import { attributes, headers, httpUrl, oneOf, ratio, wholeNumber, yesOrNo } from './readers.js';
import { setting } from './setting.js';

export const OPENTELEMETRY_SETTINGS = {
  otelDisabled: setting('OTEL_SDK_DISABLED', yesOrNo, 'true: no traces, regardless of the other variables', null),
  tracesExporter: setting(
    'OTEL_TRACES_EXPORTER',
    oneOf('otlp', 'none'),
    'otlp: export traces; an endpoint alone does so, too',
    null,
  ),
  otlpEndpoint: setting(
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    httpUrl,
    'Base address of the trace collector; default with otlp: http://localhost:4318',
    null,
  ),
  otlpTracesEndpoint: setting(
    'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
    httpUrl,
    'Full address for traces, instead of the base address',
    null,
  ),
  otlpProtocol: setting(
    'OTEL_EXPORTER_OTLP_PROTOCOL',
    oneOf('http/protobuf'),
    'Protocol of the export; no other one is supported',
    null,
  ),
  otlpTracesProtocol: setting(
    'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL',
    oneOf('http/protobuf'),
    'The same, only for traces',
    null,
  ),
  tracesSampler: setting(
    'OTEL_TRACES_SAMPLER',
    oneOf(
      ...(['always_on', 'always_off', 'traceidratio'] as const),
      ...(['parentbased_always_on', 'parentbased_always_off', 'parentbased_traceidratio'] as const),
    ),
    'Which traces are kept; unset: as the publisher decided, and all that begin here',
    null,
  ),
  tracesSamplerArg: setting('OTEL_TRACES_SAMPLER_ARG', ratio, 'Share that the ratio samplers keep', null),
  spanQueueSize: setting('OTEL_BSP_MAX_QUEUE_SIZE', wholeNumber(1, 1_000_000), 'Most spans that may wait', null),
  spanBatchSize: setting(
    'OTEL_BSP_MAX_EXPORT_BATCH_SIZE',
    wholeNumber(1, 1_000_000),
    'Most spans sent in one batch',
    null,
  ),
  spanDelay: setting('OTEL_BSP_SCHEDULE_DELAY', wholeNumber(1, 3_600_000), 'Milliseconds between two batches', null),
  spanTimeout: setting('OTEL_BSP_EXPORT_TIMEOUT', wholeNumber(1, 3_600_000), 'Milliseconds for one batch', null),
  otlpTimeout: setting(
    'OTEL_EXPORTER_OTLP_TIMEOUT',
    wholeNumber(1, 3_600_000),
    'Milliseconds for all attempts to send one batch',
    null,
  ),
  otlpTracesTimeout: setting(
    'OTEL_EXPORTER_OTLP_TRACES_TIMEOUT',
    wholeNumber(1, 3_600_000),
    'The same, only for traces',
    null,
  ),
  otlpCompression: setting(
    'OTEL_EXPORTER_OTLP_COMPRESSION',
    oneOf('none', 'gzip'),
    'Compression of batches; unset: none',
    null,
  ),
  otlpTracesCompression: setting(
    'OTEL_EXPORTER_OTLP_TRACES_COMPRESSION',
    oneOf('none', 'gzip'),
    'The same, only for traces',
    null,
  ),
  otlpHeaders: setting('OTEL_EXPORTER_OTLP_HEADERS', headers, 'Headers for the collector: key=value,key=value', null),
  otlpTracesHeaders: setting('OTEL_EXPORTER_OTLP_TRACES_HEADERS', headers, 'The same, only for traces', null),
  resourceAttributes: setting(
    'OTEL_RESOURCE_ATTRIBUTES',
    attributes,
    'Attributes of the service on all spans: key=value,key=value',
    null,
  ),
};
