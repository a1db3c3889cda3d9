import { ConfigError } from '../config/index.js';
import { ClientError } from '../client/errors.js';
import { JobError } from '../domain/errors.js';
import { CommandFailed, UsageError } from './usage.js';

/**
 * An error as the sentence for its user, and the exit code.
 * @returns undefined for an error that nobody has foreseen: it is shown with its stack, since it is a fault of ours
 */
export function explain(error: unknown): { readonly sentence: string; readonly exitCode: 1 | 2 } | undefined {
  if (error instanceof ConfigError || error instanceof UsageError) return { sentence: error.message, exitCode: 2 };
  if (error instanceof CommandFailed) return { sentence: error.message, exitCode: 1 };
  if (error instanceof JobError || error instanceof ClientError) {
    return { sentence: `${error.code}: ${error.message}`, exitCode: 1 };
  }
  if (!(error instanceof Error)) return undefined;
  // The names of errors of services and of the file system, whose classes would have to be loaded: gRPC's have `details`,
  // those of the file system `syscall`.
  const outside = error.name === 'StepFailed' || error.name === 'NoAnswer' || error.name === 'TimeoutError';
  if (outside || 'details' in error || 'syscall' in error) return { sentence: error.message, exitCode: 1 };
  return undefined;
}
