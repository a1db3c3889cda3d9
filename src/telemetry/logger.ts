import { type DestinationStream, type Logger, pino, stdSerializers } from 'pino';
import { redact } from './redact.js';

export type { Logger } from 'pino';

export interface LoggerOptions {
  /** What every line says of the trace that is going on, in Cloud Logging's names (`logging.googleapis.com/trace`, …). */
  readonly traceFields?: () => object;
  /** Standard output unless given. */
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
 * JSON lines in the shape that Cloud Logging reads by itself: `severity`, `message`, `time`. Secrets are taken out of all.
 * @param bindings in every line
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
      // What a completion says of an error is a plain object, and stays as it is.
      serializers: { error: (error: unknown) => (error instanceof Error ? stdSerializers.err(error) : error) },
      hooks: { streamWrite: redact },
      ...(traceFields ? { mixin: traceFields } : {}),
    },
    to,
  );
}
