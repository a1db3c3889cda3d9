import { JobError } from '../../domain/errors.js';

/** The HTTP status of what the client threw, if it was an answer at all. */
export function httpStatus(thrown: unknown): number | undefined {
  const code = (thrown as { code?: unknown } | null)?.code;
  const status = typeof code === 'string' ? Number(code) : code;
  return typeof status === 'number' && Number.isInteger(status) ? status : undefined;
}

/**
 * Everything that is not an answer to the question is storage being unavailable. A 401 or 403 is no exception: the
 * allowed prefixes were checked before, so the rights of this worker are what is missing, and that is ours to mend.
 */
export function storageError(what: string, cause: unknown): JobError {
  if (cause instanceof JobError) return cause;
  const status = httpStatus(cause);
  const reason = cause instanceof Error ? cause.message : String(cause);
  // The request itself is wrong, and will be wrong again.
  if (status === 400) return new JobError('INTERNAL', `${what}: ${reason}`, { cause });
  const denied = status === 401 || status === 403 ? ' (the worker lacks the right)' : '';
  return new JobError('STORAGE_UNAVAILABLE', `${what}: ${reason}${denied}`, { cause });
}
