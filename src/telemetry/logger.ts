import { type DestinationStream, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/** Cloud Logging's names (LogSeverity) for pino's levels. */
const SEVERITY: Readonly<Record<string, string>> = {
  trace: 'DEBUG',
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARNING',
  error: 'ERROR',
  fatal: 'CRITICAL',
};

/** JSON lines in the shape that Cloud Logging reads by itself: `severity`, `message`, `time`. */
export function createLogger(
  level: string,
  bindings: Readonly<Record<string, unknown>>,
  to?: DestinationStream,
): Logger {
  return pino(
    {
      level,
      base: bindings,
      messageKey: 'message',
      errorKey: 'error',
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ severity: SEVERITY[label] ?? 'DEFAULT' }) },
    },
    to,
  );
}
