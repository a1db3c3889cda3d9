/**
 * The texts of failures, as data. Those of Triton are from tritonserver 2.51 (core: scheduler_utils.cc,
 * dynamic_batch_scheduler.cc, model_lifecycle.cc, infer_request.cc, pinned_memory_manager.cc, cuda_memory_manager.cc;
 * server: grpc/infer_handler.cc, shared_memory_manager.cc; python_backend: python_be.cc, stub_launcher.cc, pb_stub.cc,
 * shm_manager.cc). Those that a real server can be brought to say are provoked by test/contract.
 *
 * A model may say anything in an error of its own. The Python backend puts what a model raised behind a text of its
 * own, as `<class>: <message>`. There a failure of a library is believed only where the class is one that the library
 * raises, and the message begins as the library's does: `ValueError: CUDA out of memory` is the model's word.
 */
import { status } from '@grpc/grpc-js';
import type { ErrorCode } from '../../domain/errors.js';

/**
 * What has failed in the server itself:
 * - `process`: the model's process has ended; the Python backend does not start another;
 * - `device`: the GPU's context is broken, and stays so until the process is started anew;
 * - `memory`: there was not enough of it. A smaller request may fit.
 */
export type Fault = 'process' | 'device' | 'memory';

export interface Rule {
  /** Codes under which the text is trusted. */
  readonly codes: readonly (status | undefined)[];
  readonly text: RegExp;
  readonly means: ErrorCode;
  readonly fault?: Fault;
}

/** How a backend's failure comes: INTERNAL, by some UNKNOWN, and without a code on a stream. */
const BACKEND = [status.INTERNAL, status.UNKNOWN, undefined];
/** What stands before it: the request's id where it has one, and what the Python backend puts before all that was raised. */
const ID = String.raw`^(?:\[request id: [^\]]*\] )?`;
const RAISED = String.raw`(?:Failed to process the request\(s\) for model (?:instance )?'[^']*', message: )`;

/** ONNX Runtime: its Python classes (onnxruntime_pybind_exceptions.cc), and as its backend for Triton quotes it. */
const ONNX = String.raw`(?:${RAISED}(?:Fail|RuntimeException|EPFail|InvalidGraph|NotImplemented): \[ONNXRuntimeError\]|onnx runtime error \d+:)`;
/** PyTorch: torch.cuda.OutOfMemoryError, torch.AcceleratorError, else RuntimeError; and as its backend quotes it. */
const TORCH = String.raw`(?:${RAISED}(?:RuntimeError|AcceleratorError|OutOfMemoryError): |PyTorch execute failure: )`;
/** TensorRT's backend, and CUDA's errors as the backends for Triton word them (backend_common.h, tensorrt.cc). */
const NATIVE = String.raw`(?:failed to (?:run TRT|enqueue|copy|set CUDA|create CUDA|synchronize|record CUDA)[^:]*: |TRT[^:]*: |TensorRT[^:]*: )`;

const fault = (means: Fault, ...texts: string[]): Rule[] =>
  texts.map((text) => ({
    codes: BACKEND,
    text: new RegExp(ID + text, 's'),
    means: 'MODEL_UNAVAILABLE',
    fault: means,
  }));

export const BY_TEXT: readonly Rule[] = [
  ...fault(
    'process',
    // python_be.cc: nobody answers for the model any more; its process died, or died while it held the lock.
    `${RAISED}?Stub process (?:'[^']*' )?is not healthy`,
    `${RAISED}?Failed to obtain the health mutex`,
  ),
  ...fault(
    'memory',
    // shm_manager.cc: /dev/shm is full, through which tensors travel to the model's process.
    `${RAISED}?Failed to increase the shared memory pool size`,
    `${RAISED}?Failed to create new mapped region for the grown shared memory`,
    `${RAISED}?(?:std|boost::interprocess)::bad_alloc`,
    // Python and NumPy; pybind11 makes a MemoryError of std::bad_alloc.
    `${RAISED}(?:MemoryError|_ArrayMemoryError): `,
    `${RAISED}OutOfMemoryError: `,
    `${TORCH}CUDA (?:error: )?out of memory`,
    `${TORCH}CUDA error: CUBLAS_STATUS_ALLOC_FAILED`,
    // bfc_arena.cc and cuda_call.cc of ONNX Runtime.
    `${ONNX}.*Failed to allocate memory for requested buffer`,
    `${ONNX}.*(?:CUDA failure 2:|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED|bad_alloc)`,
    `${NATIVE}.*out of memory`,
    // pinned_memory_manager.cc, cuda_memory_manager.cc and memory.cc of Triton's core.
    '(?:failed|Failed|unable) to allocate (?:pinned|non-pinned|CUDA|GPU|contiguous|memory|buffer)',
  ),
  ...fault(
    'device',
    `${TORCH}(?:CUDA error|CUDA driver error|cuDNN error|CUBLAS|device-side assert)`,
    `${ONNX}.*(?:CUDA failure \\d+|CUBLAS failure|CUDNN failure|CUBLAS_STATUS_|CUDNN_STATUS_)`,
    `${ONNX}.*(?:TensorRT EP (?:execution|failed)|cudaError)`,
    `${NATIVE}.*(?:illegal memory access|device-side assert|cudaError|CUDA error|unspecified launch failure|driver)`,
  ),
  // The model's queue.
  {
    codes: [status.UNAVAILABLE, undefined],
    text: /Exceeds maximum queue size|Request timeout expired/,
    means: 'MODEL_OVERLOADED',
  },
  // A limit of a proxy's or of the server's, and not of its queue.
  { codes: [status.RESOURCE_EXHAUSTED], text: /larger than max/, means: 'MODEL_UNAVAILABLE' },
  // Connections that break in the middle of an answer, and answers of something that is no gRPC server, as grpc-js words
  // them (subchannel-call.js, load-balancing-call.js, client.js).
  {
    codes: [status.INTERNAL],
    text: /^(?:Received (?:RST_STREAM|HTTP status|message)|Response message parsing error|Failed to start HTTP.2 stream|No (?:status information|message) received|Unable to decompress|(?:read|write|connect) E)|ECONNRESET|ECONNREFUSED|GOAWAY|socket hang up/,
    means: 'MODEL_UNAVAILABLE',
  },
  // Shared memory was set aside for the output that the contract promises.
  {
    codes: [status.INTERNAL, undefined],
    text: new RegExp(`${ID}shared memory size specified`),
    means: 'MODEL_OUTPUT_INVALID',
  },
  // Regions are ours to register: what is wrong with one is not wrong with the picture.
  {
    codes: [status.INVALID_ARGUMENT, status.INTERNAL],
    text: /^(?:\[request id: [^\]]*\] )?(?:unable to|invalid|failed to|cannot) .*shared memory region/i,
    means: 'MODEL_UNAVAILABLE',
  },
  // Without a code the text is all there is. A model's own error comes first: it may quote any of the others.
  { codes: [undefined], text: /Failed to process the request/, means: 'INFERENCE_FAILED' },
  {
    codes: [undefined],
    text: /is not at ready state|has no available versions|is not found|shutting down|is stopping|Shared memory region|protocol is restricted/i,
    means: 'MODEL_UNAVAILABLE',
  },
  {
    codes: [undefined],
    text: /unexpected shape|unexpected inference|expected number of inputs|' data-type is '|byte size|batch-size/,
    means: 'MODEL_REJECTED_INPUT',
  },
];
