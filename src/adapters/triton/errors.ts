/**
 * Decides what a failed call to Triton means for a job.
 *
 * An error is the job's own only if that is certain: the server says that the input is wrong, or the model itself failed on
 * the request. Every other error is the service's, and puts the job off.
 *
 * The status code alone is not enough. UNAVAILABLE means a full queue or a server that drains. INTERNAL means a model that
 * raised or a model whose process is gone. An error on a stream has no code at all. So the text counts first (failures.ts),
 * and then BY_CODE.
 */
import { status } from '@grpc/grpc-js';
import { ERRORS, JobError, type ErrorCode, type ModelNeed, type Unanswered } from '../../domain/errors.js';
import { BY_TEXT, type Fault, type Rule } from './failures.js';

/** grpc-js's ServiceError, or an `error_message` of a stream, which has no code. */
export interface CallFailure {
  readonly code: status | undefined;
  readonly details: string;
}

/** The meaning of each code when no text rule matches. */
export const BY_CODE: Readonly<Record<status, ErrorCode>> = {
  // The job's errors: the server rejected the input, or the model failed on it. INTERNAL is Triton's code for an error that
  // a model returns, unless the model chose another. Rules cover the server's own failures with this code.
  [status.INVALID_ARGUMENT]: 'MODEL_REJECTED_INPUT',
  [status.INTERNAL]: 'INFERENCE_FAILED',
  // A full queue, or a limit of something between worker and server.
  [status.RESOURCE_EXHAUSTED]: 'MODEL_OVERLOADED',
  // The service's errors. Triton never sends DEADLINE_EXCEEDED; it means that the worker's limit for one attempt has passed.
  // CANCELLED comes from the server or something in between, since an abort of the job's own signal never gets here.
  [status.UNAVAILABLE]: 'MODEL_UNAVAILABLE',
  [status.NOT_FOUND]: 'MODEL_UNAVAILABLE',
  [status.ABORTED]: 'MODEL_UNAVAILABLE',
  [status.CANCELLED]: 'MODEL_UNAVAILABLE',
  [status.DEADLINE_EXCEEDED]: 'MODEL_UNAVAILABLE',
  [status.UNKNOWN]: 'MODEL_UNAVAILABLE',
  [status.OK]: 'MODEL_UNAVAILABLE',
  // The service's errors: rights, a mesh or proxy that answers for the server, a server of another kind.
  [status.PERMISSION_DENIED]: 'MODEL_UNAVAILABLE',
  [status.UNAUTHENTICATED]: 'MODEL_UNAVAILABLE',
  [status.UNIMPLEMENTED]: 'MODEL_UNAVAILABLE',
  [status.FAILED_PRECONDITION]: 'MODEL_UNAVAILABLE',
  [status.OUT_OF_RANGE]: 'MODEL_UNAVAILABLE',
  [status.ALREADY_EXISTS]: 'MODEL_UNAVAILABLE',
  [status.DATA_LOSS]: 'MODEL_UNAVAILABLE',
};

/** A stream has no codes. A text without a rule may be anything and counts as the model's own error, like INTERNAL. */
const WITHOUT_CODE: ErrorCode = 'INFERENCE_FAILED';

export interface About {
  readonly signal?: AbortSignal | undefined;
  /** The called model, which jobs need while it is away. */
  readonly model?: string;
  readonly version?: string;
  /** Whether the job may be what ended the model's process. */
  readonly costsAttempt?: boolean;
  /** How the request ended without an answer. */
  readonly unanswered?: Unanswered | undefined;
}

/**
 * Converts the error of a call. It returns a JobError and the reason of the job's signal unchanged.
 * @param doing the call and its model, for the message
 * @returns the error to throw
 */
export function toJobError(
  thrown: unknown,
  doing: string,
  { signal, model, version, costsAttempt = false, unanswered }: About = {},
): unknown {
  if (signal?.aborted) return signal.reason;
  if (thrown instanceof JobError || !isCallFailure(thrown)) return thrown;
  const { code, details } = thrown;
  const rule = ruleFor(thrown);
  const meaning = rule?.means ?? (code === undefined ? WITHOUT_CODE : BY_CODE[code]);
  const name = code === undefined ? 'error' : status[code];
  return new JobError(meaning, `${doing}: ${name}: ${details}`, {
    cause: thrown,
    costsAttempt,
    unanswered,
    ...(rule?.fault === 'memory' ? { outOfMemory: true } : {}),
    ...(model !== undefined && ERRORS[meaning].verdict === 'defer' ? { needs: needOf(model, version) } : {}),
  });
}

const needOf = (name: string, version: string | undefined): ModelNeed => ({
  ...{ kind: 'model', name },
  ...(version === undefined ? {} : { version }),
});

/** @returns the server's own fault, if the failure is one */
export function faultOf(thrown: unknown): Fault | undefined {
  return isCallFailure(thrown) ? ruleFor(thrown)?.fault : undefined;
}

/** Whether the server says that it has not loaded the version, or is still loading it. */
export function isNotReady(thrown: unknown): thrown is Error & CallFailure {
  return isCallFailure(thrown) && thrown.details.startsWith('Request for unknown model: ');
}

/** The first matching rule. The traceback of a model's error is ignored, since it may quote anything. */
function ruleFor({ code, details }: CallFailure): Rule | undefined {
  const said = details.split('\n\nAt:\n')[0] ?? '';
  return BY_TEXT.find(({ codes, text }) => codes.includes(code) && text.test(said));
}

export function isCallFailure(thrown: unknown): thrown is Error & CallFailure {
  return thrown instanceof Error && 'code' in thrown && 'details' in thrown && typeof thrown.details === 'string';
}

/** A failure in grpc-js's form, for transports that detect failures themselves. */
export class TransportError extends Error implements CallFailure {
  override readonly name = 'TransportError';

  constructor(
    readonly code: status | undefined,
    readonly details: string,
    options?: ErrorOptions,
  ) {
    super(details, options);
  }
}

/**
 * Like `toJobError`, for a call that only reads what the server serves. Such a call says nothing about any job, so every
 * failure means that the server is away.
 */
export function toReadError(thrown: unknown, doing: string, about: About = {}): unknown {
  const error = toJobError(thrown, doing, about);
  if (!(error instanceof JobError) || error === about.signal?.reason) return error;
  const needs = about.model === undefined ? {} : { needs: needOf(about.model, about.version) };
  return new JobError('MODEL_UNAVAILABLE', error.message, { cause: thrown, ...needs });
}
