import { ConfigError } from '../config/index.js';
import { ClientError } from '../client/errors.js';
import { JobError } from '../domain/errors.js';
import { oneLine, visible } from './output.js';
import { CommandFailed, UsageError } from './usage.js';

export interface Explained {
  /** For a terminal: without control characters. */
  readonly sentence: string;
  /** Code of the error, where it has one of ours. */
  readonly code?: string;
  /** As it is, without the code. */
  readonly message: string;
  readonly exitCode: 1 | 2;
}

/**
 * An error as the sentence for its user, and the exit code.
 * @returns undefined for an error that nobody has foreseen: it is shown with its stack, since it is a fault of ours
 */
export function explain(error: unknown): Explained | undefined {
  if (!(error instanceof Error)) return undefined;
  const { message } = error;
  if (error instanceof ConfigError) return { sentence: visible(message), message, exitCode: 2 }; // it has several lines
  if (error instanceof UsageError) return { sentence: oneLine(message), message, exitCode: 2 };
  if (error instanceof CommandFailed) return { sentence: oneLine(message), message, exitCode: 1 };
  if (error instanceof JobError || error instanceof ClientError) {
    const { code } = error;
    return { sentence: oneLine(`${code}: ${message}`), code, message, exitCode: 1 };
  }
  // The names of errors of services and of the file system, whose classes would have to be loaded: gRPC's have `details`,
  // those of the file system `syscall`.
  const outside = error.name === 'StepFailed' || error.name === 'NoAnswer' || error.name === 'TimeoutError';
  if (outside || 'details' in error || 'syscall' in error) return { sentence: oneLine(message), message, exitCode: 1 };
  return undefined;
}
