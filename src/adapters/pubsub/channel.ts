/**
 * The connection to Pub/Sub. It calls the service over gRPC directly and not through Google's client
 * (docs/decisions/0021-pubsub-over-grpc.md).
 */
import { fileURLToPath } from 'node:url';
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import { googleTokens, PUBSUB_SCOPES, type Tokens } from '../tokens.js';
import type { Methods, StreamingPullRequest, StreamingPullResponse } from './wire.js';

export interface PubSubConnection {
  readonly projectId: string;
  /** `host:port` of an emulator; Google Cloud with the ambient credentials when absent. */
  readonly emulator?: string | undefined;
  /** `PULLING` when absent. */
  readonly pings?: Pings;
  /** `host:port` of the service, with TLS; Google's when absent. */
  readonly endpoint?: string;
  /** Those of the ambient identity when absent. */
  readonly tokens?: Tokens;
}

/**
 * HTTP/2 pings, sent while a call is in flight. Only pings detect within minutes a connection that has died without being
 * closed (a machine or a network is gone). All calls on it then fail as unavailable, and the next ones open a new connection.
 */
export interface Pings {
  /** Ping interval, in milliseconds. If a server reports that pings are too frequent, grpc-js doubles it. */
  readonly everyMs: number;
  /** Time limit for the answer to a ping, in milliseconds. */
  readonly answerMs: number;
}

/** A message stream is always in flight. So a dead connection is detected within 40 s, and a live one carries few pings. */
export const PULLING: Pings = { everyMs: 30_000, answerMs: 10_000 };
/** A publish normally takes milliseconds. A stuck one gets a new connection while it still has time to use it. */
export const PUBLISHING: Pings = { everyMs: 5_000, answerMs: 5_000 };

const SERVICE = 'pubsub.googleapis.com:443';

/** Works from src/ and from dist/, since both are beside proto/. */
const PROTO_DIR = fileURLToPath(new URL('../../../proto', import.meta.url));

const loaded = loadSync(['pubsub.proto', 'iam.proto'], { includeDirs: [PROTO_DIR], longs: Number, defaults: true });
const methods: ServiceDefinition = {
  ...(loaded['google.pubsub.v1.Publisher'] as ServiceDefinition),
  ...(loaded['google.pubsub.v1.Subscriber'] as ServiceDefinition),
  ...(loaded['google.iam.v1.IAMPolicy'] as ServiceDefinition),
};

export class PubSubChannel {
  readonly isEmulator: boolean;
  readonly pings: Pings;
  readonly #client: Client;
  readonly #projectId: string;
  readonly #tokens: Tokens | undefined;

  /** Connects with the first call. The caller closes it. */
  constructor(connection: PubSubConnection) {
    const { projectId, emulator, endpoint = SERVICE, pings = PULLING } = connection;
    this.#projectId = projectId;
    this.isEmulator = emulator !== undefined;
    this.pings = pings;
    this.#tokens = emulator === undefined ? (connection.tokens ?? googleTokens(PUBSUB_SCOPES)) : undefined;
    this.#client = new Client(emulator ?? endpoint, channelCredentials(this.#tokens), {
      'grpc.keepalive_time_ms': pings.everyMs,
      'grpc.keepalive_timeout_ms': pings.answerMs,
      // Calls must notice the end of an outage soon. The default is two minutes.
      'grpc.max_reconnect_backoff_ms': 2_000,
      // A message has 10 MB at most, and an answer may have several.
      'grpc.max_receive_message_length': -1,
      // The callers retry, each in its own way.
      'grpc.enable_retries': 0,
    });
  }

  /** `projects/P/topics/NAME`; a whole name stays. */
  topic(name: string): string {
    return name.includes('/') ? name : `projects/${this.#projectId}/topics/${name}`;
  }

  /** `projects/P/subscriptions/NAME`; a whole name stays. */
  subscription(name: string): string {
    return name.includes('/') ? name : `projects/${this.#projectId}/subscriptions/${name}`;
  }

  /**
   * One unary call, one attempt.
   * @param limitMs time limit, in milliseconds
   * @throws grpc-js's ServiceError (`code`, `details`)
   */
  call<M extends keyof Methods>(
    name: M,
    request: Methods[M]['request'],
    limitMs: number,
  ): Promise<Methods[M]['response']> {
    const { path, requestSerialize, responseDeserialize } = method<Methods[M]['request'], Methods[M]['response']>(name);
    const options = { deadline: Date.now() + limitMs };
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        routed(request),
        options,
        (error: ServiceError | null, response) => {
          if (response !== undefined) resolve(response);
          else reject(error ? this.#noticed(error) : new Error(`${name}: neither an answer nor an error`));
        },
      );
    });
  }

  /** Opens a StreamingPull, without a deadline. The caller cancels it. */
  openStream(request: StreamingPullRequest): ClientDuplexStream<StreamingPullRequest, StreamingPullResponse> {
    const { path, requestSerialize, responseDeserialize } = method<StreamingPullRequest, StreamingPullResponse>(
      'StreamingPull',
    );
    const stream = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, routed(request));
    stream.on('error', (error: ServiceError) => this.#noticed(error));
    stream.write(request);
    return stream;
  }

  /** Calls in flight end by themselves, at their deadline at the latest. */
  close(): void {
    this.#client.close();
  }

  /** Drops tokens that the service no longer accepts. */
  #noticed(error: ServiceError): ServiceError {
    if (error.code === status.UNAUTHENTICATED) this.#tokens?.held()?.forget();
    return error;
  }
}

function method<Request, Response>(name: string): MethodDefinition<Request, Response> {
  const definition = methods[name];
  if (!definition) throw new Error(`proto/pubsub.proto has no method ${name}`);
  return definition as unknown as MethodDefinition<Request, Response>;
}

interface Named {
  readonly resource?: string;
  readonly name?: string;
  readonly topic?: string;
  readonly subscription?: string | { readonly name: string };
}

/** The service routes a call by this header (https://google.aip.dev/client-libraries/4222). */
function routed({ resource, name, topic, subscription }: Named): Metadata {
  const parts = {
    resource,
    name,
    topic: name === undefined ? topic : undefined,
    ...(typeof subscription === 'object' ? { 'subscription.name': subscription.name } : { subscription }),
  };
  const metadata = new Metadata();
  const [key, value] = Object.entries(parts).find(([, part]) => part !== undefined) ?? [];
  if (value !== undefined) metadata.set('x-goog-request-params', `${key}=${encodeURIComponent(value)}`);
  return metadata;
}

/** grpc-js's own adapter for Google's credentials expects headers as a plain object, and the current library gives `Headers`. */
function channelCredentials(tokens: Tokens | undefined): ChannelCredentials {
  if (!tokens) return credentials.createInsecure();
  const calls = credentials.createFromMetadataGenerator((_options, give) => {
    const held = tokens.held();
    if (held) {
      give(null, metadataOf(held.headers));
      return;
    }
    tokens.fresh().then(
      ({ headers }) => give(null, metadataOf(headers)),
      // The server of tokens is away, which says nothing about the caller's rights.
      (error: unknown) =>
        give(Object.assign(new Error('no credentials', { cause: error }), { code: status.UNAVAILABLE })),
    );
  });
  return credentials.combineChannelCredentials(credentials.createSsl(), calls);
}

function metadataOf(headers: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  return metadata;
}
