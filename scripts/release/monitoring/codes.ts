import type { ErrorCode } from '../../../src/domain/errors.js';

/** Codes of failures that no publisher can mend by sending something else: what alerts and comparisons count. */
export const OURS: readonly ErrorCode[] = [
  ...(['INPUT_FORBIDDEN', 'OUTPUT_FORBIDDEN', 'DEADLINE_EXCEEDED', 'EXECUTION_TIMEOUT'] as const),
  ...(['STORAGE_UNAVAILABLE', 'MODEL_UNAVAILABLE', 'MODEL_OVERLOADED', 'INFERENCE_FAILED'] as const),
  ...(['MODEL_REJECTED_INPUT', 'MODEL_OUTPUT_INVALID', 'RETRIES_EXHAUSTED', 'WORKER_LOST', 'INTERNAL'] as const),
];

export const FAILED_BY_US = `code=~"${OURS.join('|')}"`;
