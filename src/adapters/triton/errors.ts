/**
 * What a failed call to Triton means for a job.
 *
 * The status code alone does not say: UNAVAILABLE covers a full queue, a server that drains and a protocol that this
 * client may never use; NOT_FOUND covers a model that is only being reloaded. An error on a stream has no code at all.
 * So the text counts too. The texts are those of tritonserver 2.51 (core: scheduler_utils.cc, dynamic_batch_scheduler.cc,
 * model_lifecycle.cc, infer_request.cc; server: grpc/infer_handler.cc), each provoked by test/contract/triton.test.ts
 * where a real server can be brought to say it.
 */
import { status } from '@grpc/grpc-js';
import { JobError, type ErrorCode } from '../../domain/errors.js';

/** grpc-js's ServiceError, or what a stream makes of an `error_message`, which comes without a code. */
export interface CallFailure {
  readonly code: status | undefined;
  readonly details: string;
}

interface Rule {
  /** Codes under which the text is trusted: a model may say anything in an error of its own. */
  readonly codes: readonly (status | undefined)[];
  readonly text: RegExp;
  readonly means: ErrorCode;
}

/** The first rule that fits holds; else BY_CODE. */
const BY_TEXT: readonly Rule[] = [
  // Permanent: no later attempt of this worker will fare better.
  { codes: [status.UNAVAILABLE, undefined], text: /protocol is restricted/, means: 'INTERNAL' },
  { codes: [status.RESOURCE_EXHAUSTED], text: /larger than max/, means: 'INTERNAL' },
  // The model's queue.
  {
    codes: [status.UNAVAILABLE, undefined],
    text: /Exceeds maximum queue size|Request timeout expired/,
    means: 'MODEL_OVERLOADED',
  },
  // Connections that break in the middle of an answer.
  {
    codes: [status.INTERNAL, status.UNKNOWN],
    text: /RST_STREAM|ECONNRESET|ECONNREFUSED|GOAWAY|socket hang up/,
    means: 'MODEL_UNAVAILABLE',
  },
  // Shared memory was set aside for the output that the contract promises.
  { codes: [status.INTERNAL], text: /^shared memory size specified/, means: 'MODEL_OUTPUT_INVALID' },
  // Without a code the text is all there is. A model's own error comes first: it may quote any of the others.
  { codes: [undefined], text: /Failed to process the request|^(?:\w+: )?Stub process/, means: 'INFERENCE_FAILED' },
  {
    codes: [undefined],
    text: /is not at ready state|has no available versions|is not found|shutting down|is stopping|Shared memory region/i,
    means: 'MODEL_UNAVAILABLE',
  },
  {
    codes: [undefined],
    text: /unexpected shape|unexpected inference|expected number of inputs|' data-type is '|byte size|batch-size/,
    means: 'MODEL_REJECTED_INPUT',
  },
];

const BY_CODE: ReadonlyMap<status | undefined, ErrorCode> = new Map([
  [status.UNAVAILABLE, 'MODEL_UNAVAILABLE'],
  [status.NOT_FOUND, 'MODEL_UNAVAILABLE'],
  [status.ABORTED, 'MODEL_UNAVAILABLE'],
  // Not by our own signal, which errors of this kind never reach: by the server or something on the way.
  [status.CANCELLED, 'MODEL_UNAVAILABLE'],
  // Triton never sends it: our own limit for one attempt has passed, so nobody knows what the server is doing.
  [status.DEADLINE_EXCEEDED, 'MODEL_UNAVAILABLE'],
  [status.RESOURCE_EXHAUSTED, 'MODEL_OVERLOADED'],
  [status.INVALID_ARGUMENT, 'MODEL_REJECTED_INPUT'],
  [status.INTERNAL, 'INFERENCE_FAILED'],
  [status.UNKNOWN, 'INFERENCE_FAILED'],
  [undefined, 'INFERENCE_FAILED'],
]);

/**
 * Converts what a call threw. Errors that are already decided pass: a JobError, and the reason of our own signal.
 * @param doing what was called and for which model, for the message
 * @returns what to throw
 */
export function toJobError(thrown: unknown, doing: string, signal?: AbortSignal): unknown {
  if (signal?.aborted) return signal.reason;
  if (thrown instanceof JobError || !isCallFailure(thrown)) return thrown;
  const { code, details } = thrown;
  const rule = BY_TEXT.find(({ codes, text }) => codes.includes(code) && text.test(details));
  const meaning = rule?.means ?? BY_CODE.get(code) ?? 'INTERNAL';
  const name = code === undefined ? 'error' : status[code];
  return new JobError(meaning, `${doing}: ${name}: ${details}`, { cause: thrown });
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
  ) {
    super(details);
  }
}
