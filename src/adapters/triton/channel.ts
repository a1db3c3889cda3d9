/**
 * The connection to Triton: grpc-js options that matter for tensors, and calls as promises.
 *
 * One channel carries everything. With a `dns:///` address it spreads unary calls over all addresses of the name (round
 * robin, except those that a call avoids). A stream stays at the address where it was opened.
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
import { inPieces } from './infer-message.js';
import type { Methods, ModelInferRequest, ModelStreamInferResponse } from './wire.js';

/** Works from src/ and from dist/, since both are beside proto/. */
const PROTO_DIR = fileURLToPath(new URL('../../../proto', import.meta.url));

/** 64-bit numbers become JavaScript numbers. Shapes, counts and nanoseconds stay far below 2^53. */
const LOADER_OPTIONS = { includeDirs: [PROTO_DIR], longs: Number, enums: String, defaults: true };

const CHANNEL_OPTIONS: ChannelOptions = {
  // The default of 4 MiB is a picture of 1182 x 1182, refused after the GPU has done its work. −1: no limit.
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  // With the default of 64 KiB per stream, large answers wait for window updates.
  'grpc-node.flow_control_window': 16 * 1024 * 1024,
  // grpc-js would retry silently, and only requests below 1 MiB. The caller retries instead.
  'grpc.enable_retries': 0,
  // Triton treats pings more frequent than every five minutes as an attack and closes the connection.
  'grpc.keepalive_time_ms': 330_000,
  'grpc.keepalive_timeout_ms': 20_000,
  // The channel has its own connections, so that `reconnect` really opens a new one.
  'grpc.use_local_subchannel_pool': 1,
  // The server is near. After an outage all models must be in use again within seconds.
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 1_000,
  // Tensors must not go through a web proxy that the environment happens to set.
  'grpc.enable_http_proxy': 0,
  'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ [POLICY]: {} }] }),
};

/** Replicas come and go, and with them their addresses. */
const MOST_REPLICAS = 1_000;

export interface CallOptions {
  readonly signal: AbortSignal;
  /** Time limit, in milliseconds from now. grpc-js has none of its own. */
  readonly deadlineMs: number;
  /** Addresses of replicas to avoid, if there are others. */
  readonly avoid?: readonly string[];
  /** Called with the replica that answered, just before the call settles. */
  readonly onPeer?: (replica: string) => void;
}

export class Channel {
  readonly #target: string;
  readonly #metadata = new Metadata();
  /** Calls in flight, to cancel when the channel closes. */
  readonly #calls = new Set<{ cancel(): void }>();
  /** When each replica last answered a unary call. */
  readonly #heardAt = new Map<string, number>();
  #openedAt = -Infinity;
  #client: Client;

  /**
   * Connects lazily. The first call fails if the server is down.
   * @param url `host:port`, or an address with a scheme of gRPC (`dns:///…`, `ipv4:…`, `unix:…`)
   * @param headers sent with every call, such as the keys of restricted protocols
   */
  constructor(url: string, headers: Readonly<Record<string, string>> = {}) {
    this.#target = /^(?:dns|ipv4|ipv6|unix|unix-abstract|xds):/.test(url) ? url : `dns:///${url}`;
    for (const [name, value] of Object.entries(headers)) this.#metadata.set(name, value);
    this.#client = this.#open();
  }

  /** Whether the server's address is this host itself. */
  get isLocal(): boolean {
    return /^unix|^(?:dns:\/\/\/|ipv4:|ipv6:)(?:localhost|127\.[\d.]+|\[::1\])(?::|$)/.test(this.#target);
  }

  /**
   * One unary call.
   * @throws the signal's reason when it fires, otherwise grpc-js's ServiceError (`code`, `details`)
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
          if (response === undefined) {
            reject(error ?? new Error(`${name}: neither an answer nor an error`));
            return;
          }
          this.#heard(call.getPeer());
          resolve(response);
        },
      );
      const stopListening = onAbort(signal, () => {
        reject(signal.reason as Error);
        call.cancel();
      });
      this.#calls.add(call);
    });
  }

  #heard(replica: string): void {
    this.#heardAt.delete(replica);
    this.#heardAt.set(replica, performance.now());
    const [oldest] = this.#heardAt.keys();
    if (oldest !== undefined && this.#heardAt.size > MOST_REPLICAS) this.#heardAt.delete(oldest);
  }

  /**
   * Whether the replica has answered a unary call since that time, on the connections of that time.
   * @param at by `performance.now()`
   */
  heardSince(replica: string, at: number): boolean {
    return this.#openedAt <= at && (this.#heardAt.get(replica) ?? -Infinity) > at;
  }

  /** Lists the replicas that have answered a unary call since that time. @param at by `performance.now()` */
  heardOf(at: number): string[] {
    return [...this.#heardAt].flatMap(([replica, heardAt]) => (heardAt > at ? [replica] : []));
  }

  /**
   * Opens a ModelStreamInfer. It has no deadline, since its users limit their own requests. It carries no trace, since its
   * metadata would apply to every later request, for any job.
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
   * Replaces the connection. Calls in flight keep the old one until they end. It is for a connection that is dead but not
   * closed, which TCP alone notices only after many minutes.
   */
  reconnect(): void {
    const old = this.#client;
    this.#client = this.#open();
    this.#openedAt = performance.now();
    old.close();
  }

  /** Fails all unary calls in flight with CANCELLED. */
  cancelAll(): void {
    for (const call of this.#calls) call.cancel();
  }

  close(): void {
    this.cancelAll();
    this.#client.close();
  }

  /**
   * Adds the active trace, but only if it is sampled: Triton (2.51) creates spans for any traceparent, regardless of its
   * flags.
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

const loaded = loadSync('inference.proto', LOADER_OPTIONS)['inference.GRPCInferenceService'] as ServiceDefinition;

const service: ServiceDefinition = {
  ...loaded,
  ...Object.fromEntries(['ModelInfer', 'ModelStreamInfer'].map((name) => [name, inPieces(definitionOf(loaded, name))])),
};

function definitionOf(of: ServiceDefinition, name: string) {
  const definition = of[name];
  if (!definition) throw new Error(`proto/inference.proto has no method ${name}`);
  return definition;
}

function method<Request, Response>(name: string): MethodDefinition<Request, Response> {
  return definitionOf(service, name) as unknown as MethodDefinition<Request, Response>;
}
