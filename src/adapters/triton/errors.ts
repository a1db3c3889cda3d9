/**
 * What a failed call to Triton means for a job.
 *
 * An error is the job's only where that is positively known: the server says that the input is wrong, or the model itself
 * has failed at the request. Everything else is the service's, and puts the job off.
 *
 * The status code alone does not say: UNAVAILABLE covers a full queue and a server that drains, INTERNAL covers a model
 * that raised and a model whose process is gone. An error on a stream has no code at all. So the text counts first
 * (failures.ts), and then BY_CODE.
 */
import { status } from '@grpc/grpc-js';
import { ERRORS, JobError, type ErrorCode, type ModelNeed } from '../../domain/errors.js';
import { BY_TEXT, type Fault, type Rule } from './failures.js';

/** grpc-js's ServiceError, or what a stream makes of an `error_message`, which comes without a code. */
export interface CallFailure {
  readonly code: status | undefined;
  readonly details: string;
}

/** What each code means where no text says more. */
export const BY_CODE: Readonly<Record<status, ErrorCode>> = {
  // The job's: the server looked at the input and turned it away; or the model failed at it (Triton's code for an error
  // that a model returns, unless the model chose another). Failures of the server's own with this code have rules.
  [status.INVALID_ARGUMENT]: 'MODEL_REJECTED_INPUT',
  [status.INTERNAL]: 'INFERENCE_FAILED',
  // The queue's, or a limit of something on the way.
  [status.RESOURCE_EXHAUSTED]: 'MODEL_OVERLOADED',
  // The service's. Triton never sends DEADLINE_EXCEEDED: our own limit for one attempt has passed. CANCELLED is not by our
  // own signal, which errors of this kind never reach, but by the server or something on the way.
  [status.UNAVAILABLE]: 'MODEL_UNAVAILABLE',
  [status.NOT_FOUND]: 'MODEL_UNAVAILABLE',
  [status.ABORTED]: 'MODEL_UNAVAILABLE',
  [status.CANCELLED]: 'MODEL_UNAVAILABLE',
  [status.DEADLINE_EXCEEDED]: 'MODEL_UNAVAILABLE',
  [status.UNKNOWN]: 'MODEL_UNAVAILABLE',
  [status.OK]: 'MODEL_UNAVAILABLE',
  // The service's: rights, a mesh or proxy that answers for the server, a server of another kind.
  [status.PERMISSION_DENIED]: 'MODEL_UNAVAILABLE',
  [status.UNAUTHENTICATED]: 'MODEL_UNAVAILABLE',
  [status.UNIMPLEMENTED]: 'MODEL_UNAVAILABLE',
  [status.FAILED_PRECONDITION]: 'MODEL_UNAVAILABLE',
  [status.OUT_OF_RANGE]: 'MODEL_UNAVAILABLE',
  [status.ALREADY_EXISTS]: 'MODEL_UNAVAILABLE',
  [status.DATA_LOSS]: 'MODEL_UNAVAILABLE',
};

/** A stream has no codes: a text that no rule knows may be anything, and is the model's own word as INTERNAL is. */
const WITHOUT_CODE: ErrorCode = 'INFERENCE_FAILED';

export interface About {
  readonly signal?: AbortSignal | undefined;
  /** The model that was called: what its jobs need while it is away. */
  readonly model?: string;
  readonly version?: string;
  /** The job may be what ended the model's process. */
  readonly suspect?: boolean;
}

/**
 * Converts what a call threw. Errors that are already decided pass: a JobError, and the reason of our own signal.
 * @param doing what was called and for which model, for the message
 * @returns what to throw
 */
export function toJobError(thrown: unknown, doing: string, { signal, model, version, suspect = false }: About = {}): unknown {
  if (signal?.aborted) return signal.reason;
  if (thrown instanceof JobError || !isCallFailure(thrown)) return thrown;
  const { code, details } = thrown;
  const rule = ruleFor(thrown);
  const meaning = rule?.means ?? (code === undefined ? WITHOUT_CODE : BY_CODE[code]);
  const name = code === undefined ? 'error' : status[code];
  return new JobError(meaning, `${doing}: ${name}: ${details}`, {
    cause: thrown,
    suspect,
    ...(rule?.fault === 'memory' ? { outOfMemory: true } : {}),
    ...(model !== undefined && ERRORS[meaning].verdict === 'defer' ? { needs: needOf(model, version) } : {}),
  });
}

const needOf = (name: string, version: string | undefined): ModelNeed => ({
  ...{ kind: 'model', name },
  ...(version === undefined ? {} : { version }),
});

/** @returns what has failed in the server, where the failure is one of its own */
export function faultOf(thrown: unknown): Fault | undefined {
  return isCallFailure(thrown) ? ruleFor(thrown)?.fault : undefined;
}

/** Whether the server says that it has not loaded the version, or is still loading it. */
export function isNotReady(thrown: unknown): thrown is Error & CallFailure {
  return isCallFailure(thrown) && thrown.details.startsWith("Request for unknown model: ");
}

/** The first rule that fits. Of an error that a model raised, the traceback is left out: it may quote anything. */
function ruleFor({ code, details }: CallFailure): Rule | undefined {
  const said = details.split('\n\nAt:\n')[0] ?? '';
  return BY_TEXT.find(({ codes, text }) => codes.includes(code) && text.test(said));
}

export function isCallFailure(thrown: unknown): thrown is Error & CallFailure {
  return thrown instanceof Error && 'code' in thrown && 'details' in thrown && typeof thrown.details === 'string';
}

/** A failure in the form of grpc-js's, for transports that find out for themselves. */
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
