/** How one inference travels. The transports do not differ otherwise; measurements show which is best. */
import { status } from '@grpc/grpc-js';
import { NoAnswer, within } from '../within.js';
import type { CallOptions } from './channel.js';
import { TransportError } from './errors.js';
import type { ModelInferRequest, ModelInferResponse } from './wire.js';

/** How the tensors are sent. */
export type Carrier = 'unary' | 'stream' | 'shm';

export interface InferOptions extends CallOptions {
  /** The exact length of the output, in bytes. Its memory may have to exist before it is computed. */
  readonly outputBytes: number;
  /** Called with the carrier of the request, and again if it is sent another way. */
  readonly onSend?: (carrier: Carrier) => void;
}

export interface InferTransport {
  /**
   * One request and one answer, in a single attempt.
   * @throws the signal's reason when it fires, otherwise an error that errors.ts can read: grpc-js's ServiceError, or one
   *   with the same `code` and `details`
   */
  infer(request: ModelInferRequest, options: InferOptions): Promise<ModelInferResponse>;
  /** Fails requests in flight and releases what the transport holds on the server. */
  close(): Promise<void>;
}

/** The options for the next call, with the time that the earlier calls have left. */
export function countdown(options: InferOptions): () => InferOptions {
  const endsAt = performance.now() + options.deadlineMs;
  return () => ({ ...options, deadlineMs: Math.max(1, endsAt - performance.now()) });
}

/** Waits for a result that several requests share, within one request's time limit. The shared work continues. */
export async function inTime<T>(shared: Promise<T>, what: string, { deadlineMs, signal }: CallOptions): Promise<T> {
  try {
    return await within(deadlineMs, what, () => shared, signal);
  } catch (error) {
    if (error instanceof NoAnswer) throw new TransportError(status.DEADLINE_EXCEEDED, error.message);
    throw error;
  }
}
