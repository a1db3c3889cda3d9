/**
 * Every way in which a job can end badly, as a closed set.
 *
 * A code says where it happens (`stage`) and what the worker does about it (`verdict`). Adding a code is one line in
 * this table; the README's error table and the settle table are checked against it by tests.
 */

/** The stages of a job, in order. */
export const STAGES = [
  'parse',
  'recall',
  'route',
  'fetch',
  'decode',
  'plan',
  'infer',
  'encode',
  'store',
  'record',
] as const;
export type Stage = (typeof STAGES)[number];

/**
 * - `fail`: the job is wrong and will be wrong again: failed completion, ack.
 * - `reject`: as `fail`, and a copy of the message with the reason goes to the dead-letter topic.
 * - `expire`: the job came too late: expired completion, ack.
 * - `defer`: something outside the job is down: tried again in place, then put back into the queue without an attempt
 *   counted, until it has been put off for too long.
 * - `retry-then-fail`: worth another try in place; when those are used up, as `fail`.
 */
export type Verdict = 'fail' | 'reject' | 'expire' | 'defer' | 'retry-then-fail';

interface ErrorRow {
  /** Where it usually happens. */
  readonly stage: Stage;
  readonly verdict: Verdict;
  /** It happens in other stages as well: the one that it is met in counts. */
  readonly anywhere?: true;
}

export const ERRORS = {
  INVALID_MESSAGE: { stage: 'parse', verdict: 'reject' },
  UNSUPPORTED_SCHEMA: { stage: 'parse', verdict: 'reject' },
  INVALID_PARAMETERS: { stage: 'parse', verdict: 'fail' },
  JOB_ID_REUSED: { stage: 'recall', verdict: 'fail' },
  UNKNOWN_MODEL: { stage: 'route', verdict: 'fail' },
  UNKNOWN_VERSION: { stage: 'route', verdict: 'fail' },
  INPUT_NOT_FOUND: { stage: 'fetch', verdict: 'fail' },
  INPUT_FORBIDDEN: { stage: 'fetch', verdict: 'fail' },
  INPUT_TOO_LARGE: { stage: 'fetch', verdict: 'fail' },
  INPUT_EMPTY: { stage: 'fetch', verdict: 'fail' },
  UNSUPPORTED_FORMAT: { stage: 'decode', verdict: 'fail' },
  INPUT_CORRUPT: { stage: 'decode', verdict: 'fail' },
  INPUT_TOO_MANY_PIXELS: { stage: 'decode', verdict: 'fail' },
  OUTPUT_TOO_LARGE: { stage: 'plan', verdict: 'fail' },
  RECORD_UNREADABLE: { stage: 'recall', verdict: 'defer' },
  WORKER_OVERLOADED: { stage: 'decode', verdict: 'defer', anywhere: true },
  DEADLINE_EXCEEDED: { stage: 'recall', verdict: 'expire' },
  EXECUTION_TIMEOUT: { stage: 'infer', verdict: 'fail' },
  STORAGE_UNAVAILABLE: { stage: 'fetch', verdict: 'defer', anywhere: true },
  MODEL_UNAVAILABLE: { stage: 'infer', verdict: 'defer' },
  MODEL_OVERLOADED: { stage: 'infer', verdict: 'defer' },
  INFERENCE_FAILED: { stage: 'infer', verdict: 'retry-then-fail' },
  MODEL_REJECTED_INPUT: { stage: 'infer', verdict: 'fail' },
  MODEL_OUTPUT_INVALID: { stage: 'infer', verdict: 'fail' },
  OUTPUT_FORBIDDEN: { stage: 'store', verdict: 'fail' },
  OUTPUT_EXISTS: { stage: 'store', verdict: 'fail' },
  RETRIES_EXHAUSTED: { stage: 'recall', verdict: 'reject' },
  WORKER_LOST: { stage: 'recall', verdict: 'reject' },
  INTERNAL: { stage: 'infer', verdict: 'defer', anywhere: true },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;
export const ERROR_CODES = Object.keys(ERRORS) as ErrorCode[];

/**
 * What a job depends on and the worker does not control: while one of them is away, jobs that need it are put off. An error
 * names the part that it has met; the rest may be well.
 */
export type Need = ModelNeed | BucketNeed;

export interface ModelNeed {
  readonly kind: 'model';
  readonly name: string;
  /** The version that was asked; absent where the whole model is meant. */
  readonly version?: string;
}

export interface BucketNeed {
  readonly kind: 'bucket';
  readonly name: string;
  /** Rights to read and to create are given apart, so each may be missing alone. */
  readonly access: BucketAccess;
  /** Folder of a configured prefix; absent where the whole bucket is meant. */
  readonly folder?: string;
  /** Name of the one object that was asked for; absent where all of the folder or bucket is meant. */
  readonly object?: string;
}
export type BucketAccess = 'read' | 'create';

export interface JobErrorOptions {
  readonly cause?: unknown;
  /** Where it happened; the code's usual stage when absent. */
  readonly stage?: Stage;
  /** What is away, for errors of the verdict `defer`. */
  readonly needs?: Need;
  /**
   * The job itself may be the cause, although nobody can know: a process ended while it held one of its requests, or our
   * own code threw what it should not. Such a job is put off like any other, but that costs it an attempt.
   */
  readonly suspect?: boolean;
  /**
   * The model's server had not enough memory for this one request. A smaller one may fit: smaller tiles, or a batch of
   * one. Where none fits, the job is put off as for any model that is away.
   */
  readonly outOfMemory?: boolean;
}

/**
 * Not an end but a pause: the worker gives the message back unfinished (it is draining, or the job has ended elsewhere), and
 * a redelivery takes the job up again.
 */
export class GivenBack extends Error {
  override readonly name = 'GivenBack';
}

/** Pub/Sub's deliveries of a message are used up, and most of them had not come as far as an attempt at its job. */
export class Unbegun extends Error {
  override readonly name = 'Unbegun';
}

/** The one error class. Callers branch on `code`, never on the text; the cause is kept for the log. */
export class JobError extends Error {
  override readonly name = 'JobError';
  readonly code: ErrorCode;
  /** Where it happened; the code's usual stage unless the caller knows better. */
  readonly stage: Stage;
  readonly needs: Need | undefined;
  readonly suspect: boolean;
  readonly outOfMemory: boolean;
  readonly #stageIsKnown: boolean;

  constructor(code: ErrorCode, message: string, options: JobErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    const row: ErrorRow = ERRORS[code];
    this.stage = options.stage ?? row.stage;
    this.needs = options.needs;
    // Nobody knows what is wrong: another worker may do the job, or meet the same fault.
    this.suspect = options.suspect ?? code === 'INTERNAL';
    this.outOfMemory = options.outOfMemory ?? false;
    this.#stageIsKnown = options.stage !== undefined || !row.anywhere;
  }

  get verdict(): Verdict {
    return ERRORS[this.code].verdict;
  }

  /** Whether the same job, published again later under a new id, may succeed without a change. */
  get retryable(): boolean {
    const verdict = this.verdict;
    return verdict === 'defer' || verdict === 'retry-then-fail' || this.code === 'RETRIES_EXHAUSTED';
  }

  /**
   * The converter for whatever is thrown inside a stage: ours passes unchanged, but for the stage where it does not
   * know its own; anything else becomes INTERNAL.
   */
  static from(thrown: unknown, stage: Stage): JobError {
    if (thrown instanceof JobError && thrown.#stageIsKnown) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    if (!(thrown instanceof JobError)) return new JobError('INTERNAL', message, { cause: thrown, stage });
    const { code, needs, suspect, outOfMemory } = thrown;
    return new JobError(code, message, { cause: thrown, stage, suspect, outOfMemory, ...(needs ? { needs } : {}) });
  }
}
