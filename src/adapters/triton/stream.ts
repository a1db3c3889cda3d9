/**
 * Inferences of a model share one stream. Triton answers the requests of a stream in order, so on a common stream every
 * model would wait for the slowest.
 *
 * By protocol, an open stream cannot switch replicas, and its errors have no status code, only a text.
 */
import { status, type ClientDuplexStream } from '@grpc/grpc-js';
import { onAbort } from '../abort.js';
import type { CallOptions, Channel } from './channel.js';
import { faultOf, TransportError } from './errors.js';
import type { InferTransport } from './transport.js';
import type { ModelInferRequest, ModelInferResponse, ModelStreamInferResponse } from './wire.js';

export function streamTransport(channel: Channel): InferTransport {
  const streams = new Map<string, ModelStream>();
  /** Replaced streams that still have requests in flight. */
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

/** A stream is used until its first fault, or a fault of its replica. The next request then opens another. */
class ModelStream {
  readonly #call: Call;
  readonly #waiters = new Map<string, Waiter>();
  #lastId = 0;
  #answers = 0;
  #open = true;

  constructor(call: Call) {
    this.#call = call;
    call.on('data', (message: ModelStreamInferResponse) => this.#settle(message));
    call.on('error', () => undefined); // 'status' carries the same, and also comes when the server ends the stream normally
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
          // There was no answer at all in that time. A slow first request or a dead connection blocks all requests behind
          // it.
          if (this.#answers === answersBefore) this.end(`the stream was silent for ${deadlineMs} ms`);
        }, deadlineMs);
        this.#call.write({ ...request, id });
      });
    } catch (error) {
      // The replica fails at this model, and another may not. Requests in flight finish on this stream.
      if (faultOf(error) !== undefined) this.#open = false;
      throw error;
    } finally {
      onPeer?.(this.#call.getPeer());
      // This also applies if the request was given up. Its late answer is then dropped, and the other requests continue.
      this.#waiters.delete(id);
      clearTimeout(timer);
      stopListening?.();
      if (this.isDone) this.end('the stream was given up for another');
    }
  }

  /** Fails all waiting requests. Cancelling the call cancels them on the server too. */
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
