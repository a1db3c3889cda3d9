import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { BY_CODE, faultOf, toJobError, toReadError, TransportError } from '../../../src/adapters/triton/errors.js';
import { JobError } from '../../../src/domain/errors.js';

/** Texts as tritonserver 2.51 and grpc-js 1.14 say them, and 2.71 where it says them in other words. */
const WITH_CODE = [
  // 2.68 and later, server/src/common.h: shared memory is off unless the server is started with that option.
  [
    status.UNIMPLEMENTED,
    "Client shared memory is disabled. Start the server with '--allow-client-shm=true' to enable.",
    'MODEL_UNAVAILABLE',
  ],
  [status.UNAVAILABLE, '[request id: <id_unknown>] Exceeds maximum queue size', 'MODEL_OVERLOADED'],
  [status.UNAVAILABLE, 'Request timeout expired', 'MODEL_OVERLOADED'],
  [status.UNAVAILABLE, 'GRPC server is shutting down and has stopped accepting new requests.', 'MODEL_UNAVAILABLE'],
  [status.UNAVAILABLE, "Request for unknown model: 'echo' version 1 is not at ready state", 'MODEL_UNAVAILABLE'],
  [status.UNAVAILABLE, 'No connection established. Last error: connect ECONNREFUSED', 'MODEL_UNAVAILABLE'],
  [status.UNAVAILABLE, 'This protocol is restricted, expecting header "triton-grpc-protocol-key"', 'MODEL_UNAVAILABLE'],
  [status.NOT_FOUND, "Request for unknown model: 'echo' has no available versions", 'MODEL_UNAVAILABLE'],
  [status.NOT_FOUND, "Request for unknown model: 'echo' version 9 is not found", 'MODEL_UNAVAILABLE'],
  [status.INVALID_ARGUMENT, "unexpected inference input 'extra' for model 'echo'", 'MODEL_REJECTED_INPUT'],
  [status.INVALID_ARGUMENT, "Invalid offset for shared memory region: 'imagen.1'", 'MODEL_UNAVAILABLE'],
  [status.INVALID_ARGUMENT, "[request id: 3] Unable to find shared memory region: 'imagen.1'", 'MODEL_UNAVAILABLE'],
  [status.RESOURCE_EXHAUSTED, 'Received message larger than max (9000005 vs 4194304)', 'MODEL_UNAVAILABLE'],
  [status.RESOURCE_EXHAUSTED, 'Bandwidth exhausted or memory limit exceeded', 'MODEL_OVERLOADED'],
  [status.INTERNAL, "Failed to process the request(s) for model 'x_0_0', message: ValueError: x", 'INFERENCE_FAILED'],
  [status.INTERNAL, "FileNotFoundError: 'weights' is not found", 'INFERENCE_FAILED'],
  [status.INTERNAL, 'Received RST_STREAM with code 2 (Internal server error)', 'MODEL_UNAVAILABLE'],
  [status.INTERNAL, 'Response message parsing error: index out of range', 'MODEL_UNAVAILABLE'],
  [status.INTERNAL, "shared memory size specified with the request for output 'image'", 'MODEL_OUTPUT_INVALID'],
  // What a proxy answers with a page of its own, as grpc-js words it.
  [status.PERMISSION_DENIED, 'Received HTTP status code 403', 'MODEL_UNAVAILABLE'],
  [status.UNKNOWN, 'Received HTTP status code 500', 'MODEL_UNAVAILABLE'],
  [status.INTERNAL, 'Received HTTP status code 200', 'MODEL_UNAVAILABLE'],
  [status.UNAVAILABLE, 'Received HTTP status code 502', 'MODEL_UNAVAILABLE'],
] as const;

/** On a stream there is only the text. */
const WITHOUT_CODE = [
  ['[request id: 3] Exceeds maximum queue size', 'MODEL_OVERLOADED'],
  ["Request for unknown model: 'echo' version 9 is not found", 'MODEL_UNAVAILABLE'],
  ["Request for unknown model: 'echo' has no available versions", 'MODEL_UNAVAILABLE'],
  ['[request id: 4] Server is stopping, scheduler for model has stopped', 'MODEL_UNAVAILABLE'],
  ["This protocol is restricted, expecting header 'triton-grpc-protocol-x'", 'MODEL_UNAVAILABLE'],
  ["[request id: 1] unexpected shape for input 'image' for model 'echo'", 'MODEL_REJECTED_INPUT'],
  ["[request id: 1] input byte size mismatch for input 'image'", 'MODEL_REJECTED_INPUT'],
  ["[request id: 1] inference input 'image' data-type is 'FP32', but model 'echo' expects", 'MODEL_REJECTED_INPUT'],
  ['[request id: 1] expected number of inputs between 1 and 2 but got 0', 'MODEL_REJECTED_INPUT'],
  ['Failed to process the request(s), message: KeyError: unexpected shape is not found', 'INFERENCE_FAILED'],
  ['anything else', 'INFERENCE_FAILED'],
] as const;

const raised = (text: string) =>
  `Failed to process the request(s) for model 'x_0_0', message: ${text}\n\nAt:\n  /models/x/1/model.py(9): execute\n`;
const ARENA =
  "Non-zero status code returned while running Conv node. Name:'/c' Status Message: /onnxruntime_src/bfc_arena.cc:376 " +
  'void* onnxruntime::BFCArena::AllocateRawInternal(size_t) Failed to allocate memory for requested buffer of size 9395';
const CUDA_700 = 'CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; hostname=x ; expr=cudaMemcpy';

/** Failures of the server's own, as Triton and the libraries below it word them. */
const FAULTS = [
  ["Stub process 'upscale_0_0' is not healthy.", 'process'],
  ['Stub process is not healthy.', 'process'],
  // As the runtime of the shipped models words what its network raises (triton/runtime/imagen_onnx.py).
  [`inference failed: [ONNXRuntimeError] : 1 : FAIL : ${CUDA_700}`, 'device'],
  [`inference failed: [ONNXRuntimeError] : 1 : FAIL : ${ARENA}`, 'memory'],
  ['inference failed: Unable to allocate 3.00 GiB for an array with shape (8, 3, 1024, 1024)', 'memory'],
  ['[request id: 7] Failed to obtain the health mutex.', 'process'],
  ["Failed to increase the shared memory pool size for key 'k' to 67 bytes. Error: No space left on device", 'memory'],
  [raised("Failed to increase the shared memory pool size for key 'k' to 67 bytes. Error: x"), 'memory'],
  // The same from 2.60 on, without the key of the region (python_backend/src/shm_manager.cc).
  ['Failed to increase the shared memory pool size to 67 bytes. Error: No space left on device', 'memory'],
  [raised('MemoryError: <EMPTY MESSAGE>'), 'memory'],
  [raised('MemoryError: std::bad_alloc'), 'memory'],
  [raised('_ArrayMemoryError: Unable to allocate 9.00 GiB for an array with shape (3, 9)'), 'memory'],
  [raised('OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB'), 'memory'],
  [raised('RuntimeError: CUDA error: out of memory'), 'memory'],
  [raised('RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`'), 'memory'],
  [raised(`RuntimeException: [ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : ${ARENA}`), 'memory'],
  [`onnx runtime error 6: ${ARENA}`, 'memory'],
  [raised('Fail: [ONNXRuntimeError] : 1 : FAIL : CUDA failure 2: out of memory ; GPU=0'), 'memory'],
  ['failed to allocate pinned system memory: no pinned memory pool', 'memory'],
  ['Failed to allocate CUDA memory with byte size 1024 on GPU 0: out of memory', 'memory'],
  ['PyTorch execute failure: CUDA out of memory. Tried to allocate 2.00 GiB', 'memory'],
  [raised('RuntimeError: CUDA error: an illegal memory access was encountered\nCUDA kernel errors'), 'device'],
  [raised('AcceleratorError: CUDA error: device-side assert triggered'), 'device'],
  [raised(`Fail: [ONNXRuntimeError] : 1 : FAIL : ${CUDA_700}`), 'device'],
  [`onnx runtime error 1: ${CUDA_700}`, 'device'],
  ['failed to run TRT inference: cudaErrorLaunchFailure', 'device'],
] as const;

/** What a model says of its own, in whatever words: only the class and the beginning tell a library's error. */
const A_MODELS_OWN = [
  raised('ValueError: CUDA out of memory'),
  raised("ValueError: Stub process 'x_0_0' is not healthy."),
  raised('RuntimeError: the picture says: CUDA error: an illegal memory access'),
  raised('Exception: MemoryError: nothing'),
  raised('Fail: [ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Resize node'),
  raised('InvalidArgument: [ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Got invalid dimensions for input: image'),
  "Failed to process the request(s) for model 'x_0_0', message: KeyError: 'a'\n\nAt:\n  MemoryError: (3): execute",
];

describe('toJobError', () => {
  it.each(WITH_CODE)('code %i, "%s": %s', (code, details, expected) => {
    const failure = new TransportError(code, details);
    expect(toJobError(failure, 'model echo')).toMatchObject({ name: 'JobError', code: expected, cause: failure });
  });

  it.each(WITHOUT_CODE)('no code, "%s": %s', (details, expected) => {
    expect(toJobError(new TransportError(undefined, details), 'model echo')).toMatchObject({ code: expected });
  });

  it('takes two of the 17 codes for a word about the job, and all others for one about the service', () => {
    const codes = Object.values(status).filter((code): code is status => typeof code === 'number');
    const meanings = codes.map((code) => {
      const error = toJobError(new TransportError(code, 'some text'), 'model echo', { model: 'echo' }) as JobError;
      return [status[code], error.code, error.verdict === 'defer' ? error.needs : 'the job'] as const;
    });
    const service = { kind: 'model', name: 'echo' };
    expect(meanings).toHaveLength(17);
    expect(Object.keys(BY_CODE)).toHaveLength(17);
    for (const meaning of meanings) {
      const [name] = meaning;
      if (name === 'INVALID_ARGUMENT') expect(meaning).toEqual([name, 'MODEL_REJECTED_INPUT', 'the job']);
      else if (name === 'INTERNAL') expect(meaning).toEqual([name, 'INFERENCE_FAILED', 'the job']);
      else if (name === 'RESOURCE_EXHAUSTED') expect(meaning).toEqual([name, 'MODEL_OVERLOADED', service]);
      else expect(meaning).toEqual([name, 'MODEL_UNAVAILABLE', service]);
    }
  });

  it.each(FAULTS)('takes "%s" for a fault of the server: %s', (details, fault) => {
    for (const code of [status.INTERNAL, undefined]) {
      const failure = new TransportError(code, details);
      expect(faultOf(failure)).toBe(fault);
      expect(toJobError(failure, 'model x', { model: 'x', version: '3' })).toMatchObject({
        ...{ code: 'MODEL_UNAVAILABLE', needs: { kind: 'model', name: 'x', version: '3' } },
        ...{ outOfMemory: fault === 'memory', costsAttempt: false },
      });
    }
  });

  it.each(A_MODELS_OWN)('takes "%s" for the word of the model', (details) => {
    for (const code of [status.INTERNAL, undefined]) {
      const failure = new TransportError(code, details);
      expect(faultOf(failure)).toBeUndefined();
      expect(toJobError(failure, 'model x')).toMatchObject({ code: 'INFERENCE_FAILED' });
    }
  });

  it('says what is away and that the job may be the cause, also where the stage is added later', () => {
    const error = toJobError(new TransportError(status.INTERNAL, 'Stub process is not healthy.'), 'model x', {
      ...{ model: 'x', costsAttempt: true },
    });
    expect(JobError.from(error, 'infer')).toMatchObject({ costsAttempt: true, needs: { kind: 'model', name: 'x' } });
  });

  it('names what was called, the status and its text', () => {
    const error = toJobError(new TransportError(status.INTERNAL, 'broke'), 'model echo, version 1');
    expect((error as Error).message).toBe('model echo, version 1: INTERNAL: broke');
  });

  it("gives back the caller's own reason once its signal has fired, whatever the call says", () => {
    const reason = new Error('deadline of the job');
    const signal = AbortSignal.abort(reason);
    expect(toJobError(new TransportError(status.CANCELLED, 'Call cancelled'), 'x', { signal })).toBe(reason);
    expect(toJobError(new TransportError(status.INTERNAL, 'broke'), 'x', { signal })).toBe(reason);
  });

  it('leaves alone what is decided already and what is not about a call', () => {
    const decided = new JobError('MODEL_OUTPUT_INVALID', 'x');
    const bug = new TypeError('x is undefined');
    expect(toJobError(decided, 'x')).toBe(decided);
    expect(toJobError(bug, 'x')).toBe(bug);
  });
});

describe('toReadError', () => {
  it.each([status.INTERNAL, status.INVALID_ARGUMENT, status.RESOURCE_EXHAUSTED, status.UNAVAILABLE])(
    'takes no code for a fault of the job, not %i either',
    (code) => {
      const error = toReadError(new TransportError(code, 'a fault'), 'reading the models', { model: 'echo' });
      expect(error).toMatchObject({ code: 'MODEL_UNAVAILABLE', needs: { kind: 'model', name: 'echo' } });
    },
  );

  it('leaves the reason of the signal and faults of ours as they are', () => {
    const reason = new JobError('EXECUTION_TIMEOUT', 'too late');
    const signal = AbortSignal.abort(reason);
    expect(toReadError(new TransportError(status.CANCELLED, ''), 'reading', { signal })).toBe(reason);
    const fault = new TypeError('a fault of ours');
    expect(toReadError(fault, 'reading')).toBe(fault);
  });
});
