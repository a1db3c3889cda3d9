import { type DestinationStream, type Logger, pino, stdSerializers } from 'pino';
import { redact } from './redact.js';

export type { Logger } from 'pino';

export interface LoggerOptions {
  /** Trace fields for every line, in Cloud Logging's names (`logging.googleapis.com/trace`, …). */
  readonly traceFields?: () => object;
  /** Default: standard output. */
  readonly to?: DestinationStream;
}

/** Cloud Logging's names (LogSeverity) for pino's levels. */
const SEVERITY: Readonly<Record<string, string>> = {
  trace: 'DEBUG',
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARNING',
  error: 'ERROR',
  fatal: 'CRITICAL',
};

/**
 * Creates a logger of JSON lines in the form that Cloud Logging parses: `severity`, `message`, `time`. Secrets are redacted
 * from every line.
 * @param bindings fields of every line
 */
export function createLogger(
  level: string,
  bindings: Readonly<Record<string, unknown>>,
  { traceFields, to }: LoggerOptions = {},
): Logger {
  return pino(
    {
      level,
      base: bindings,
      messageKey: 'message',
      errorKey: 'error',
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ severity: SEVERITY[label] ?? 'DEFAULT' }) },
      // The error in a completion is a plain object and stays unchanged.
      serializers: { error: (error: unknown) => (error instanceof Error ? stdSerializers.err(error) : error) },
      hooks: { streamWrite: redact },
      ...(traceFields ? { mixin: traceFields } : {}),
    },
    to,
  );
}
