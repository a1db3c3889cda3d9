/** How one inference travels. The transports differ in nothing else; which one is best is a matter of measuring. */
import { status } from '@grpc/grpc-js';
import { NoAnswer, within } from '../within.js';
import type { CallOptions } from './channel.js';
import { TransportError } from './errors.js';
import type { ModelInferRequest, ModelInferResponse } from './wire.js';

/** What carries the tensors. */
export type Carrier = 'unary' | 'stream' | 'shm';

export interface InferOptions extends CallOptions {
  /** The exact length of the wanted output: memory for it may have to be there before it is computed. */
  readonly outputBytes: number;
  /** Told what carries the request; again if it has to be sent another way. */
  readonly onSend?: (carrier: Carrier) => void;
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

/** The options for what comes next: with as much time as the calls before it have left of the whole. */
export function countdown(options: InferOptions): () => InferOptions {
  const endsAt = performance.now() + options.deadlineMs;
  return () => ({ ...options, deadlineMs: Math.max(1, endsAt - performance.now()) });
}

/** Waits for what several requests share, and none of them may end, within the time of one. */
export async function inTime<T>(shared: Promise<T>, what: string, { deadlineMs, signal }: CallOptions): Promise<T> {
  try {
    return await within(deadlineMs, what, () => shared, signal);
  } catch (error) {
    if (error instanceof NoAnswer) throw new TransportError(status.DEADLINE_EXCEEDED, error.message);
    throw error;
  }
}
