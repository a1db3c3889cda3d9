/**
 * The texts of failures, as data. Triton's texts are from tritonserver 2.51 (core: scheduler_utils.cc,
 * dynamic_batch_scheduler.cc, model_lifecycle.cc, infer_request.cc, pinned_memory_manager.cc, cuda_memory_manager.cc;
 * server: grpc/infer_handler.cc, shared_memory_manager.cc; python_backend: python_be.cc, stub_launcher.cc, pb_stub.cc,
 * shm_manager.cc). The tests in test/contract provoke those that a real server can be made to return.
 *
 * A model's own error may contain any text. The Python backend puts a raised error after a prefix of its own, as `<class>:
 * <message>`. Such an error counts as a library's failure only if the library raises that class, and the message starts like
 * the library's: `ValueError: CUDA out of memory` is the model's own error.
 */
import { status } from '@grpc/grpc-js';
import type { ErrorCode } from '../../domain/errors.js';

/**
 * A failure of the server itself:
 * - `process`: the model's process has ended, and the Python backend does not start another;
 * - `device`: the GPU's context is broken until the process is restarted;
 * - `memory`: there was not enough memory. A smaller request may fit.
 */
export type Fault = 'process' | 'device' | 'memory';

export interface Rule {
  /** Codes with which the text is trusted. */
  readonly codes: readonly (status | undefined)[];
  readonly text: RegExp;
  readonly means: ErrorCode;
  readonly fault?: Fault;
}

/** Codes of a backend's failure: INTERNAL, UNKNOWN from some, and none on a stream. */
const BACKEND = [status.INTERNAL, status.UNKNOWN, undefined];
/** Prefixes of the text: the request's id if there is one, and the Python backend's prefix of all raised errors. */
const ID = String.raw`^(?:\[request id: [^\]]*\] )?`;
const RAISED = String.raw`(?:Failed to process the request\(s\) for model (?:instance )?'[^']*', message: )`;

/** How an error of a shipped model's network begins (triton/runtime/imagen_onnx.py). */
const SHIPPED = 'inference failed: ';

/** ONNX Runtime: its Python classes (onnxruntime_pybind_exceptions.cc), and its text in its Triton backend. */
const ONNX = String.raw`(?:${RAISED}(?:Fail|RuntimeException|EPFail|InvalidGraph|NotImplemented): \[ONNXRuntimeError\]|${SHIPPED}\[ONNXRuntimeError\]|onnx runtime error \d+:)`;
/** PyTorch: torch.cuda.OutOfMemoryError, torch.AcceleratorError or RuntimeError, and its text in its Triton backend. */
const TORCH = String.raw`(?:${RAISED}(?:RuntimeError|AcceleratorError|OutOfMemoryError): |PyTorch execute failure: )`;
/** TensorRT's backend, and CUDA errors in the words of Triton's backends (backend_common.h, tensorrt.cc). */
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
    // python_be.cc: the model's process is dead, or died while it held the lock.
    `${RAISED}?Stub process (?:'[^']*' )?is not healthy`,
    `${RAISED}?Failed to obtain the health mutex`,
  ),
  ...fault(
    'memory',
    // shm_manager.cc: /dev/shm is full. Tensors go through it to the model's process.
    `${RAISED}?Failed to increase the shared memory pool size`,
    `${RAISED}?Failed to create new mapped region for the grown shared memory`,
    `${RAISED}?(?:std|boost::interprocess)::bad_alloc`,
    // Python and NumPy. pybind11 turns std::bad_alloc into MemoryError.
    `${RAISED}(?:MemoryError|_ArrayMemoryError): `,
    `${RAISED}OutOfMemoryError: `,
    `${SHIPPED}(?:Unable to allocate |(?:std::)?bad_alloc)`,
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
  // The model's queue is full or too slow.
  {
    codes: [status.UNAVAILABLE, undefined],
    text: /Exceeds maximum queue size|Request timeout expired/,
    means: 'MODEL_OVERLOADED',
  },
  // A limit of a proxy or of the server, not of its queue.
  { codes: [status.RESOURCE_EXHAUSTED], text: /larger than max/, means: 'MODEL_UNAVAILABLE' },
  // Connections that break during an answer, and answers from something that is not a gRPC server, in grpc-js's words
  // (subchannel-call.js, load-balancing-call.js, client.js).
  {
    codes: [status.INTERNAL],
    text: /^(?:Received (?:RST_STREAM|HTTP status|message)|Response message parsing error|Failed to start HTTP.2 stream|No (?:status information|message) received|Unable to decompress|(?:read|write|connect) E)|ECONNRESET|ECONNREFUSED|GOAWAY|socket hang up/,
    means: 'MODEL_UNAVAILABLE',
  },
  // The output does not fit the shared memory, which has the size that the contract promises.
  {
    codes: [status.INTERNAL, undefined],
    text: new RegExp(`${ID}shared memory size specified`),
    means: 'MODEL_OUTPUT_INVALID',
  },
  // The worker registers the regions, so a problem with one is not a problem with the picture.
  {
    codes: [status.INVALID_ARGUMENT, status.INTERNAL],
    text: /^(?:\[request id: [^\]]*\] )?(?:unable to|invalid|failed to|cannot) .*shared memory region/i,
    means: 'MODEL_UNAVAILABLE',
  },
  // Without a code only the text counts. The rule for a model's own error comes first, since that error may quote any of the
  // others.
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
