/** How one inference travels. The transports differ in nothing else; which one is best is a matter of measuring. */
import type { CallOptions } from './channel.js';
import type { ModelInferRequest, ModelInferResponse } from './wire.js';

export interface InferOptions extends CallOptions {
  /** The exact length of the wanted output: memory for it may have to be there before it is computed. */
  readonly outputBytes: number;
}

export interface InferTransport {
  /**
   * One request, one answer; a single attempt.
   * @throws the signal's reason when it fires, else an error that errors.ts can read: grpc-js's ServiceError or one
   * with the same `code` and `details`
   */
  infer(request: ModelInferRequest, options: InferOptions): Promise<ModelInferResponse>;
  /** Fails what is under way and gives back what the transport holds on the server. */
  close(): Promise<void>;
}
