import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { toJobError, TransportError } from '../../../src/adapters/triton/errors.js';
import { JobError } from '../../../src/domain/errors.js';

/** Texts as tritonserver 2.51 and grpc-js 1.14 say them. */
const WITH_CODE = [
  [status.UNAVAILABLE, '[request id: <id_unknown>] Exceeds maximum queue size', 'MODEL_OVERLOADED'],
  [status.UNAVAILABLE, 'Request timeout expired', 'MODEL_OVERLOADED'],
  [status.UNAVAILABLE, 'GRPC server is shutting down and has stopped accepting new requests.', 'MODEL_UNAVAILABLE'],
  [status.UNAVAILABLE, "Request for unknown model: 'echo' version 1 is not at ready state", 'MODEL_UNAVAILABLE'],
  [status.UNAVAILABLE, 'No connection established. Last error: connect ECONNREFUSED', 'MODEL_UNAVAILABLE'],
  [status.UNAVAILABLE, 'This protocol is restricted, expecting header "triton-grpc-protocol-key"', 'INTERNAL'],
  [status.NOT_FOUND, "Request for unknown model: 'echo' has no available versions", 'MODEL_UNAVAILABLE'],
  [status.NOT_FOUND, "Request for unknown model: 'echo' version 9 is not found", 'MODEL_UNAVAILABLE'],
  [status.INVALID_ARGUMENT, "unexpected inference input 'extra' for model 'echo'", 'MODEL_REJECTED_INPUT'],
  [status.RESOURCE_EXHAUSTED, 'Received message larger than max (9000005 vs 4194304)', 'INTERNAL'],
  [status.RESOURCE_EXHAUSTED, 'Bandwidth exhausted or memory limit exceeded', 'MODEL_OVERLOADED'],
  [status.INTERNAL, "Failed to process the request(s) for model 'x_0_0', message: ValueError", 'INFERENCE_FAILED'],
  [status.INTERNAL, "FileNotFoundError: 'weights' is not found", 'INFERENCE_FAILED'],
  [status.INTERNAL, 'Received RST_STREAM with code 2 (Internal server error)', 'MODEL_UNAVAILABLE'],
  [status.INTERNAL, "shared memory size specified with the request for output 'image'", 'MODEL_OUTPUT_INVALID'],
  [status.UNKNOWN, 'something', 'INFERENCE_FAILED'],
  [status.CANCELLED, 'Call cancelled', 'MODEL_UNAVAILABLE'],
  [status.DEADLINE_EXCEEDED, 'Deadline Exceeded', 'MODEL_UNAVAILABLE'],
  [status.UNIMPLEMENTED, 'The server does not implement the method', 'INTERNAL'],
  [status.PERMISSION_DENIED, 'no', 'INTERNAL'],
] as const;

/** On a stream there is only the text. */
const WITHOUT_CODE = [
  ['[request id: 3] Exceeds maximum queue size', 'MODEL_OVERLOADED'],
  ["Request for unknown model: 'echo' version 9 is not found", 'MODEL_UNAVAILABLE'],
  ["Request for unknown model: 'echo' has no available versions", 'MODEL_UNAVAILABLE'],
  ['[request id: 4] Server is stopping, scheduler for model has stopped', 'MODEL_UNAVAILABLE'],
  ["[request id: 1] unexpected shape for input 'image' for model 'echo'", 'MODEL_REJECTED_INPUT'],
  ["[request id: 1] input byte size mismatch for input 'image'", 'MODEL_REJECTED_INPUT'],
  ["[request id: 1] inference input 'image' data-type is 'FP32', but model 'echo' expects", 'MODEL_REJECTED_INPUT'],
  ['[request id: 1] expected number of inputs between 1 and 2 but got 0', 'MODEL_REJECTED_INPUT'],
  ['Failed to process the request(s), message: KeyError: unexpected shape is not found', 'INFERENCE_FAILED'],
  ['anything else', 'INFERENCE_FAILED'],
] as const;

describe('toJobError', () => {
  it.each(WITH_CODE)('code %i, "%s": %s', (code, details, expected) => {
    const failure = new TransportError(code, details);
    expect(toJobError(failure, 'model echo')).toMatchObject({ name: 'JobError', code: expected, cause: failure });
  });

  it.each(WITHOUT_CODE)('no code, "%s": %s', (details, expected) => {
    expect(toJobError(new TransportError(undefined, details), 'model echo')).toMatchObject({ code: expected });
  });

  it('names what was called, the status and its text', () => {
    const error = toJobError(new TransportError(status.INTERNAL, 'broke'), 'model echo, version 1');
    expect((error as Error).message).toBe('model echo, version 1: INTERNAL: broke');
  });

  it("gives back the caller's own reason once its signal has fired, whatever the call says", () => {
    const reason = new Error('deadline of the job');
    const signal = AbortSignal.abort(reason);
    expect(toJobError(new TransportError(status.CANCELLED, 'Call cancelled'), 'x', signal)).toBe(reason);
    expect(toJobError(new TransportError(status.INTERNAL, 'broke'), 'x', signal)).toBe(reason);
  });

  it('leaves alone what is decided already and what is not about a call', () => {
    const decided = new JobError('MODEL_OUTPUT_INVALID', 'x');
    const bug = new TypeError('x is undefined');
    expect(toJobError(decided, 'x')).toBe(decided);
    expect(toJobError(bug, 'x')).toBe(bug);
  });
});
