/**
 * A service that speaks Pub/Sub's protocol and answers as a test wants it. It is for what the emulator never does: refusing
 * one message of several, failing for a while, ending a stream, checking tokens.
 */
import { fileURLToPath } from 'node:url';
import {
  type handleUnaryCall,
  Server,
  type ServerCredentials,
  ServerCredentials as Credentials,
  type ServerDuplexStream,
  type ServiceError,
  type status,
  Metadata,
} from '@grpc/grpc-js';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import type { Methods, StreamingPullRequest } from '../../src/adapters/pubsub/wire.js';

const PROTO_DIR = fileURLToPath(new URL('../../proto', import.meta.url));
const loaded = loadSync(['pubsub.proto', 'iam.proto'], { includeDirs: [PROTO_DIR], longs: Number, defaults: true });

export type Stream = ServerDuplexStream<StreamingPullRequest, { receivedMessages: object[] }>;

export interface Answers {
  /** @throws ServiceError what the service answers */
  unary?: <M extends keyof Methods>(
    method: M,
    request: Methods[M]['request'],
    authorization: string | undefined,
  ) => Methods[M]['response'];
  stream?: (stream: Stream) => void;
}

/** An error that a service answers. */
export const refusal = (code: status, details = `code ${code}`) =>
  Object.assign(new Error(details), { code, details, metadata: new Metadata() }) satisfies ServiceError;

/** @returns its port, and what ends it */
export async function standInForPubSub(
  answers: Answers,
  credentials: ServerCredentials = Credentials.createInsecure(),
) {
  const server = new Server({ 'grpc.max_receive_message_length': -1 });
  const unary =
    (method: keyof Methods): handleUnaryCall<Methods[keyof Methods]['request'], object> =>
    ({ request, metadata }, give) => {
      try {
        give(null, answers.unary?.(method, request, metadata.get('authorization')[0]?.toString()) ?? {});
      } catch (error) {
        give(error as ServiceError);
      }
    };
  const stream = (call: Stream): void => {
    call.on('error', () => undefined); // the client has left
    answers.stream?.(call);
  };
  server.addService(loaded['google.iam.v1.IAMPolicy'] as ServiceDefinition, {
    TestIamPermissions: unary('TestIamPermissions'),
  });
  server.addService(loaded['google.pubsub.v1.Publisher'] as ServiceDefinition, {
    Publish: unary('Publish'),
    GetTopic: unary('GetTopic'),
    ListTopicSubscriptions: unary('ListTopicSubscriptions'),
  });
  server.addService(loaded['google.pubsub.v1.Subscriber'] as ServiceDefinition, {
    GetSubscription: unary('GetSubscription'),
    CreateSubscription: unary('CreateSubscription'),
    UpdateSubscription: unary('UpdateSubscription'),
    Acknowledge: unary('Acknowledge'),
    ModifyAckDeadline: unary('ModifyAckDeadline'),
    StreamingPull: stream,
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('localhost:0', credentials, (error, bound) => (error ? reject(error) : resolve(bound))),
  );
  return { address: `localhost:${port}`, close: () => server.forceShutdown() };
}
