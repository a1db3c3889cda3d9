/**
 * Pub/Sub in a process of Node, for machines without Google's emulator: the methods of the protocol on top of `Broker`
 * (docs/decisions/0023-embedded-pubsub.md). Methods that are not here answer UNIMPLEMENTED.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import {
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { loadSync, type ServiceDefinition } from '@grpc/proto-loader';
import type { PublishRequest, PullRequest } from '../../../src/adapters/pubsub/wire.js';
import { Broker, type PageRequest, type Topic } from './broker.js';
import { acknowledge, type AckRequest, type ModifyRequest, modifyAckDeadline, pull, streamingPull } from './pulling.js';
import { invalid, Refusal } from './refusal.js';
import type { Settings } from './settings.js';

export interface PubSubServer {
  /** `127.0.0.1:PORT` */
  readonly address: string;
  close(): void;
}

interface Named extends PageRequest {
  readonly topic: string;
  readonly subscription: string;
  readonly project: string;
}

interface UpdateRequest {
  readonly subscription: Settings | null;
  readonly updateMask: { readonly paths: readonly string[] } | null;
}

/** @param port any free one where it is 0. @throws Error where it is taken */
export async function startServer(port: number): Promise<PubSubServer> {
  const broker = new Broker();
  // The largest message is above the default limit.
  const server = new Server({ 'grpc.max_receive_message_length': -1 });
  const { publisher, subscriber } = loadServices();
  server.addService(publisher, publisherMethods(broker));
  server.addService(subscriber, subscriberMethods(broker));
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, at) =>
      error ? reject(error) : resolve(at),
    ),
  );
  return {
    address: `127.0.0.1:${bound}`,
    close: () => {
      broker.close(new Refusal(status.UNAVAILABLE, 'The server is shutting down.'));
      server.forceShutdown();
    },
  };
}

/** The whole protocol, which Google's client brings with it. */
function loadServices() {
  const client = createRequire(import.meta.url).resolve('@google-cloud/pubsub/package.json');
  const common = createRequire(client).resolve('google-gax');
  const includeDirs = [join(dirname(client), 'build/protos'), join(dirname(common), '../protos')];
  const loaded = loadSync('google/pubsub/v1/pubsub.proto', { includeDirs, longs: Number, defaults: true });
  return {
    publisher: loaded['google.pubsub.v1.Publisher'] as ServiceDefinition,
    subscriber: loaded['google.pubsub.v1.Subscriber'] as ServiceDefinition,
  };
}

const publisherMethods = (broker: Broker) => ({
  CreateTopic: unary((topic: Topic) => broker.createTopic(topic)),
  GetTopic: unary(({ topic }: Named) => broker.topic(topic)),
  ListTopics: unary((request: Named) => broker.topics(request.project, request)),
  ListTopicSubscriptions: unary((request: Named) => broker.subscriptionsOf(request.topic, request)),
  DeleteTopic: unary(({ topic }: Named) => broker.deleteTopic(topic)),
  Publish: unary((request: PublishRequest) => ({ messageIds: broker.publish(request) })),
});

const subscriberMethods = (broker: Broker) => ({
  CreateSubscription: unary((settings: Settings) => broker.createSubscription(settings)),
  GetSubscription: unary(({ subscription }: Named) => broker.settings(subscription)),
  ListSubscriptions: unary((request: Named) => broker.subscriptions(request.project, request)),
  UpdateSubscription: unary(({ subscription, updateMask }: UpdateRequest) => {
    if (!subscription) throw invalid('The request has no subscription.');
    return broker.updateSubscription(subscription, updateMask?.paths ?? []);
  }),
  DeleteSubscription: unary(({ subscription }: Named) => broker.deleteSubscription(subscription)),
  Pull: unary((request: PullRequest, call) => pull(broker, request, call)),
  StreamingPull: streamingPull(broker),
  Acknowledge: unary((request: AckRequest) => acknowledge(broker, request)),
  ModifyAckDeadline: unary((request: ModifyRequest) => modifyAckDeadline(broker, request)),
});

/** @param answer what the method gives; nothing stands for an empty response. @throws Refusal the error that it answers */
function unary<Request>(
  answer: (request: Request, call: ServerUnaryCall<Request, object>) => unknown,
): handleUnaryCall<Request, object> {
  return (call, give) => {
    const answered = new Promise((resolve) => resolve(answer(call.request, call)));
    answered.then(
      (response) => give(null, response ?? {}),
      (error: unknown) => give(error as ServiceError),
    );
  };
}
