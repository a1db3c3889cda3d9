/**
 * Inferences share a stream, one for each model: Triton answers the requests of a stream in the order in which they came,
 * so that on a common one every model would wait for the slowest.
 *
 * What a stream cannot do, by the protocol: spread over replicas once it is open, and say more of an error than its text.
 */
import { status, type ClientDuplexStream } from '@grpc/grpc-js';
import { onAbort } from '../abort.js';
import type { CallOptions, Channel } from './channel.js';
import { faultOf, TransportError } from './errors.js';
import type { InferTransport } from './transport.js';
import type { ModelInferRequest, ModelInferResponse, ModelStreamInferResponse } from './wire.js';

export function streamTransport(channel: Channel): InferTransport {
  const streams = new Map<string, ModelStream>();
  /** Given up for others, with requests that are still under way. */
  const ending = new Set<ModelStream>();
  return {
    infer(request, options) {
      options.onSend?.('stream');
      let stream = streams.get(request.modelName);
      if (!stream?.isOpen) {
        for (const one of ending) if (one.isDone) ending.delete(one);
        if (stream) ending.add(stream);
        stream = new ModelStream(channel.openStream(options.avoid ?? []));
        streams.set(request.modelName, stream);
      }
      return stream.infer(request, options);
    },
    close() {
      for (const stream of [...streams.values(), ...ending]) stream.end('the connection to Triton was closed');
      return Promise.resolve();
    },
  };
}

type Call = ClientDuplexStream<ModelInferRequest, ModelStreamInferResponse>;

interface Waiter {
  readonly resolve: (response: ModelInferResponse) => void;
  readonly reject: (error: Error) => void;
}

/** From its opening to its first fault, or one of its replica's; then the next request opens another. */
class ModelStream {
  readonly #call: Call;
  readonly #waiters = new Map<string, Waiter>();
  #lastId = 0;
  #answers = 0;
  #open = true;

  constructor(call: Call) {
    this.#call = call;
    call.on('data', (message: ModelStreamInferResponse) => this.#settle(message));
    call.on('error', () => undefined); // 'status' says the same, and also comes when the server ends well
    call.on('status', ({ code, details }) => this.end(`the stream ended: ${status[code]}: ${details}`));
  }

  get isOpen(): boolean {
    return this.#open;
  }

  get isDone(): boolean {
    return !this.#open && this.#waiters.size === 0;
  }

  async infer(request: ModelInferRequest, { signal, deadlineMs, onPeer }: CallOptions): Promise<ModelInferResponse> {
    signal.throwIfAborted();
    const id = String(++this.#lastId);
    const answersBefore = this.#answers;
    let stopListening: (() => void) | undefined;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<ModelInferResponse>((resolve, reject) => {
        this.#waiters.set(id, { resolve, reject });
        stopListening = onAbort(signal, () => reject(signal.reason as Error));
        timer = setTimeout(() => {
          reject(new TransportError(status.DEADLINE_EXCEEDED, `no answer within ${Math.round(deadlineMs)} ms`));
          // Not one answer in that time: what holds up the first in line, or a dead connection, holds up all behind it.
          if (this.#answers === answersBefore) this.end(`the stream was silent for ${deadlineMs} ms`);
        }, deadlineMs);
        this.#call.write({ ...request, id });
      });
    } catch (error) {
      // The replica fails at this model: another may not. What is still under way here finishes here.
      if (faultOf(error) !== undefined) this.#open = false;
      throw error;
    } finally {
      onPeer?.(this.#call.getPeer());
      // Also when the request was given up: its answer, if it comes, finds nobody, and the others are left alone.
      this.#waiters.delete(id);
      clearTimeout(timer);
      stopListening?.();
      if (this.isDone) this.end('the stream was given up for another');
    }
  }

  /** Fails all that wait, and with the call cancels them on the server too. */
  end(reason: string): void {
    this.#open = false;
    for (const { reject } of this.#waiters.values()) reject(new TransportError(status.UNAVAILABLE, reason));
    this.#call.cancel();
  }

  #settle({ errorMessage, inferResponse }: ModelStreamInferResponse): void {
    this.#answers += 1;
    const waiter = this.#waiters.get(inferResponse?.id ?? '');
    if (errorMessage !== '') waiter?.reject(new TransportError(undefined, errorMessage));
    else if (inferResponse) waiter?.resolve(inferResponse);
  }
}
