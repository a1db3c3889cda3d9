/**
 * Every error of a job, as a closed set.
 *
 * A code says where the error happens (`stage`) and what the worker does about it (`verdict`). To add a code, add one line
 * to this table. Tests compare docs/errors.md, docs/failures.md and the table of worker/end-or-put-off.ts with it.
 */

/** The stages of a job. A step of the pipeline names the stage of its errors (pipeline/steps.ts). */
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
 * What the worker does about an error.
 *
 * - `fail`: the job is wrong and will be wrong again. Failed completion, ack.
 * - `reject`: like `fail`; in addition, a copy of the message with the reason goes to the dead-letter topic.
 * - `expire`: the job came too late. Expired completion, ack.
 * - `defer`: something outside the job is down. The worker retries in place, then puts the job back into the queue, until the job was deferred for too long.
 * - `retry-then-fail`: the worker retries in place a few times, then acts as for `fail`.
 */
export type Verdict = 'fail' | 'reject' | 'expire' | 'defer' | 'retry-then-fail';

interface ErrorRow {
  /** Where the error usually happens. */
  readonly stage: Stage;
  readonly verdict: Verdict;
  /** The error can happen in other stages too. The error then names the stage in which it happened. */
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
 * Something that a job depends on and the worker does not control. While it is unavailable, jobs that need it are deferred.
 * An error names only the part that failed; the rest may be available.
 */
export type Need = ModelNeed | BucketNeed;

export interface ModelNeed {
  readonly kind: 'model';
  readonly name: string;
  /** The requested version. Absent if the whole model is unavailable, or if the routes choose the version. */
  readonly version?: string;
  /** The job's key, by which the routes choose the version. */
  readonly key?: string;
}

export interface BucketNeed {
  readonly kind: 'bucket';
  readonly name: string;
  /** The right that is missing. Rights to read and to create are granted separately. */
  readonly access: BucketAccess;
  /** Folder of a configured prefix. Absent if the whole bucket is unavailable. */
  readonly folder?: string;
  /** Name of the requested object. Absent if the whole folder or bucket is unavailable. */
  readonly object?: string;
}
export type BucketAccess = 'read' | 'create';

/**
 * How a request ends without an answer: `lost` when its connection ended, `late` when its time limit passed while the server
 * answered others.
 */
export type Unanswered = 'lost' | 'late';

export interface JobErrorOptions {
  readonly cause?: unknown;
  /** Where the error happened. The default is the code's usual stage. */
  readonly stage?: Stage;
  /** What is unavailable, for errors with the verdict `defer`. */
  readonly needs?: Need;
  /**
   * Whether the job itself may be the cause: a process ended while it held one of the job's requests, or the worker's own
   * code threw an unexpected error. Such a job is deferred like any other, but the deferral costs an attempt.
   */
  readonly costsAttempt?: boolean;
  /** How a request of the job ended without an answer, although it was sent. The job may be the cause. */
  readonly unanswered?: Unanswered | undefined;
  /**
   * The model's server had too little memory for this request. A smaller request may fit: smaller tiles, or a batch of
   * one. If none fits, the job is deferred, as for any unavailable model.
   */
  readonly outOfMemory?: boolean;
}

/**
 * Thrown when the worker stops working on a job before it is done: it is draining, or the job has ended elsewhere.
 */
export class GivenBack extends Error {
  override readonly name = 'GivenBack';
}

/** Pub/Sub's deliveries of a message are used up, but the attempts at its job are not. `name` is a label of metrics. */
export class DeliveriesSpent extends Error {
  override readonly name = 'Unbegun';
}

/** The one error class. Callers branch on `code`, never on the text; the cause is kept for the log. */
export class JobError extends Error {
  override readonly name = 'JobError';
  readonly code: ErrorCode;
  /** Where the error happened. It is the code's usual stage unless the caller named another. */
  readonly stage: Stage;
  readonly needs: Need | undefined;
  readonly costsAttempt: boolean;
  readonly outOfMemory: boolean;
  readonly unanswered: Unanswered | undefined;
  readonly #stageIsKnown: boolean;

  constructor(code: ErrorCode, message: string, options: JobErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    const row: ErrorRow = ERRORS[code];
    this.stage = options.stage ?? row.stage;
    this.needs = options.needs;
    // The cause of INTERNAL is unknown. Another worker may do the job, or meet the same fault.
    this.costsAttempt = options.costsAttempt ?? code === 'INTERNAL';
    this.outOfMemory = options.outOfMemory ?? false;
    this.unanswered = options.unanswered;
    this.#stageIsKnown = options.stage !== undefined || !row.anywhere;
  }

  get verdict(): Verdict {
    return ERRORS[this.code].verdict;
  }

  /** Whether the same job may succeed without a change if it is published again later under a new id. */
  get retryable(): boolean {
    const verdict = this.verdict;
    return verdict === 'defer' || verdict === 'retry-then-fail' || this.code === 'RETRIES_EXHAUSTED';
  }

  /**
   * Converts any error that is thrown inside a stage. A JobError that knows its stage passes unchanged; one that does not
   * gets this stage. Any other error becomes INTERNAL.
   */
  static from(thrown: unknown, stage: Stage): JobError {
    if (thrown instanceof JobError && thrown.#stageIsKnown) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    if (thrown instanceof JobError) return thrown.with({ stage });
    return new JobError('INTERNAL', message, { cause: thrown, stage });
  }

  /** A copy with other options. This error is its cause. */
  with(options: JobErrorOptions): JobError {
    const { code, message, stage, needs, costsAttempt, outOfMemory, unanswered } = this;
    const kept = { costsAttempt, outOfMemory, unanswered, ...(needs ? { needs } : {}) };
    return new JobError(code, message, { cause: this, ...kept, ...(this.#stageIsKnown ? { stage } : {}), ...options });
  }
}
