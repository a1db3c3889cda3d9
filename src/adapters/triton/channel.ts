/**
 * The connection to Triton: options of grpc-js that matter for tensors, and calls as promises.
 *
 * One channel carries everything. Behind a `dns:///` address it spreads unary calls over all addresses of the name
 * (round robin, but for those that a call is to avoid); a stream stays on the one where it was opened.
 */
import { fileURLToPath } from 'node:url';
import {
  Client,
  credentials,
  Metadata,
  type ChannelOptions,
  type ClientDuplexStream,
  type MethodDefinition,
} from '@grpc/grpc-js';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import { isSampled, traceHeaders } from '../../tracing/spans.js';
import { onAbort } from '../abort.js';
import { avoidIn, POLICY } from './avoiding.js';
import type { Methods, ModelInferRequest, ModelStreamInferResponse } from './wire.js';

/** The same place seen from src/ and from dist/: both lie beside proto/. */
const PROTO_DIR = fileURLToPath(new URL('../../../proto', import.meta.url));

/** 64-bit numbers become plain ones: shapes, counts and nanoseconds stay far below 2^53. */
const LOADER_OPTIONS = { includeDirs: [PROTO_DIR], longs: Number, enums: String, defaults: true };

const CHANNEL_OPTIONS: ChannelOptions = {
  // The default, 4 MiB, is a picture of 1182 x 1182, refused after the GPU has done its work. −1: no limit.
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  // The default, 64 KiB a stream, lets large answers wait for window updates.
  'grpc-node.flow_control_window': 16 * 1024 * 1024,
  // grpc-js would retry silently, and only requests below 1 MiB. The caller owns the retry.
  'grpc.enable_retries': 0,
  // Triton takes pings more often than every five minutes for an attack and closes the connection.
  'grpc.keepalive_time_ms': 330_000,
  'grpc.keepalive_timeout_ms': 20_000,
  // A connection of our own, so that `reconnect` really makes a new one.
  'grpc.use_local_subchannel_pool': 1,
  // The server is near: after an outage all models are to be at work again within seconds.
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 1_000,
  // Tensors never go through a web proxy that the environment happens to name.
  'grpc.enable_http_proxy': 0,
  'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ [POLICY]: {} }] }),
};

export interface CallOptions {
  readonly signal: AbortSignal;
  /** Milliseconds from now; grpc-js has no limit of its own. */
  readonly deadlineMs: number;
  /** Addresses of replicas that it should not go to, if there are others. */
  readonly avoid?: readonly string[];
  /** Told which replica has answered, just before the call settles. */
  readonly onPeer?: (replica: string) => void;
}

export class Channel {
  readonly #target: string;
  readonly #metadata = new Metadata();
  /** What is under way, to be cancelled in the end. */
  readonly #calls = new Set<{ cancel(): void }>();
  #client: Client;

  /**
   * Connects lazily: a server that is down shows in the first call.
   * @param url `host:port`, or an address with a scheme that gRPC knows (`dns:///…`, `ipv4:…`, `unix:…`)
   * @param headers sent with every call, such as the keys of restricted protocols
   */
  constructor(url: string, headers: Readonly<Record<string, string>> = {}) {
    this.#target = /^(?:dns|ipv4|ipv6|unix|unix-abstract|xds):/.test(url) ? url : `dns:///${url}`;
    for (const [name, value] of Object.entries(headers)) this.#metadata.set(name, value);
    this.#client = this.#open();
  }

  /** Whether the server's address is this host's own. */
  get isLocal(): boolean {
    return /^unix|^(?:dns:\/\/\/|ipv4:|ipv6:)(?:localhost|127\.[\d.]+|\[::1\])(?::|$)/.test(this.#target);
  }

  /**
   * One unary call.
   * @throws the signal's reason when it fires, else grpc-js's ServiceError (`code`, `details`)
   */
  call<M extends keyof Methods>(
    name: M,
    request: Methods[M]['request'],
    { signal, deadlineMs, avoid = [], onPeer }: CallOptions,
  ): Promise<Methods[M]['response']> {
    const { path, requestSerialize, responseDeserialize } = method<Methods[M]['request'], Methods[M]['response']>(name);
    return new Promise((resolve, reject) => {
      signal.throwIfAborted();
      const options = { deadline: Date.now() + deadlineMs };
      const call = this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        this.#metadataFor(avoid),
        options,
        (error, response) => {
          stopListening();
          this.#calls.delete(call);
          onPeer?.(call.getPeer());
          if (response === undefined) reject(error ?? new Error(`${name}: neither an answer nor an error`));
          else resolve(response);
        },
      );
      const stopListening = onAbort(signal, () => {
        reject(signal.reason as Error);
        call.cancel();
      });
      this.#calls.add(call);
    });
  }

  /**
   * Opens a ModelStreamInfer. It has no deadline: its users watch their own requests. And no trace: its metadata would be
   * that of every request it will ever carry, whichever job that is for.
   */
  openStream(avoid: readonly string[]): ClientDuplexStream<ModelInferRequest, ModelStreamInferResponse> {
    const { path, requestSerialize, responseDeserialize } = method<ModelInferRequest, ModelStreamInferResponse>(
      'ModelStreamInfer',
    );
    const metadata = this.#metadata.clone();
    avoidIn(metadata, avoid);
    return this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
  }

  /**
   * Gives up the connection for a new one; calls under way keep the old one until they end. For a connection that is
   * dead without having been closed, which TCP alone notices only after many minutes.
   */
  reconnect(): void {
    const old = this.#client;
    this.#client = this.#open();
    old.close();
  }

  /** Fails all unary calls that are under way with CANCELLED. */
  cancelAll(): void {
    for (const call of this.#calls) call.cancel();
  }

  close(): void {
    this.cancelAll();
    this.#client.close();
  }

  /**
   * With the active trace. Only of those that are sampled: Triton (2.51) makes spans below any traceparent, whatever its
   * flags say.
   */
  #metadataFor(avoid: readonly string[]): Metadata {
    if (!isSampled() && avoid.length === 0) return this.#metadata;
    const metadata = this.#metadata.clone();
    avoidIn(metadata, avoid);
    if (isSampled()) for (const [name, value] of Object.entries(traceHeaders())) metadata.set(name, value);
    return metadata;
  }

  #open(): Client {
    return new Client(this.#target, credentials.createInsecure(), CHANNEL_OPTIONS);
  }
}

const service = loadSync('inference.proto', LOADER_OPTIONS)['inference.GRPCInferenceService'] as ServiceDefinition;

function method<Request, Response>(name: string): MethodDefinition<Request, Response> {
  const definition = service[name];
  if (!definition) throw new Error(`proto/inference.proto has no method ${name}`);
  return definition as unknown as MethodDefinition<Request, Response>;
}
