/** Google's low-level client of one Pub/Sub, which sends what a test wants to send, and topics and subscriptions for one test. */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { credentials, type ServiceError } from '@grpc/grpc-js';
import { type protos, v1 } from '@google-cloud/pubsub';

export type Settings = protos.google.pubsub.v1.ISubscription;
export type NewMessage = protos.google.pubsub.v1.IPubsubMessage;
type StreamRequest = protos.google.pubsub.v1.IStreamingPullRequest;
type StreamResponse = protos.google.pubsub.v1.IStreamingPullResponse;

export interface Received {
  readonly text: string;
  readonly ackId: string;
  readonly attempt: number;
  readonly attributes: Readonly<Record<string, string>>;
  /** When its pull or its stream was asked for, in milliseconds since the fixture was made: its lease began later. */
  readonly askedMs: number;
  /** When it came, on the same clock: its lease began earlier. */
  readonly atMs: number;
}

/** The pause after a pull that gave too few, in milliseconds: a pull does not wait for messages. */
const PULL_AGAIN_MS = 50;

export type Clients = ReturnType<typeof connect>;
export type Fixture = Awaited<ReturnType<Clients['fresh']>>;

/** @param host `host:port` of a Pub/Sub without credentials. The caller closes it. */
export function connect(host: string) {
  const [servicePath = '', port] = host.split(':');
  const how = { servicePath, port: Number(port), sslCreds: credentials.createInsecure(), projectId: 'p' };
  const options = { ...how, universeDomain: 'googleapis.com' };
  const publisher = new v1.PublisherClient(options);
  const subscriber = new v1.SubscriberClient(options);

  /** A topic and a subscription of its own. */
  async function fresh(settings: Settings = {}) {
    const id = `t-${randomBytes(6).toString('hex')}`;
    const topic = `projects/p/topics/${id}`;
    const subscription = `projects/p/subscriptions/${id}`;
    await publisher.createTopic({ name: topic });
    await subscriber.createSubscription({ name: subscription, topic, ...settings });
    const madeAt = performance.now();
    const now = () => performance.now() - madeAt;
    const received = (
      { ackId, message, deliveryAttempt }: protos.google.pubsub.v1.IReceivedMessage,
      askedMs: number,
    ): Received => ({
      text: Buffer.from(message?.data ?? '').toString(),
      ackId: ackId ?? '',
      attempt: deliveryAttempt ?? 0,
      attributes: message?.attributes ?? {},
      ...{ askedMs, atMs: now() },
    });
    /** Pulls until there are so many, or the time is over. */
    async function pull(count = 1, limitMs = 20_000, from = subscription): Promise<Received[]> {
      const all: Received[] = [];
      for (const giveUpAt = performance.now() + limitMs; all.length < count && performance.now() < giveUpAt;) {
        const askedMs = now();
        const [{ receivedMessages }] = await subscriber.pull({
          ...{ subscription: from, maxMessages: 100, returnImmediately: true },
        });
        all.push(...(receivedMessages ?? []).map((one) => received(one, askedMs)));
        if (all.length < count) await sleep(PULL_AGAIN_MS);
      }
      return all;
    }
    const idsOf = (messages: readonly Received[]) => messages.map(({ ackId }) => ackId);
    return {
      ...{ id, topic, subscription, pull },
      publish: async (...messages: readonly (NewMessage | string)[]) => {
        const all = messages.map((one) => (typeof one === 'string' ? { data: Buffer.from(one) } : one));
        await publisher.publish({ topic, messages: all });
      },
      ack: (messages: readonly Received[]) => subscriber.acknowledge({ subscription, ackIds: idsOf(messages) }),
      /** 0 is a nack. */
      extend: (messages: readonly Received[], ackDeadlineSeconds: number) =>
        subscriber.modifyAckDeadline({ subscription, ackIds: idsOf(messages), ackDeadlineSeconds }),
      update: (wanted: Settings, ...paths: string[]) =>
        subscriber
          .updateSubscription({ subscription: { name: subscription, ...wanted }, updateMask: { paths } })
          .then(([settings]) => settings),
      /** @returns what the stream has given so far, and how it ended */
      stream: (...requests: readonly StreamRequest[]) => {
        const openedMs = now();
        const stream = subscriber.streamingPull();
        const messages: Received[] = [];
        const properties: unknown[] = [];
        const ended = new Promise<number>((resolve) => stream.on('error', ({ code }: ServiceError) => resolve(code)));
        stream.on('data', (response: StreamResponse) => {
          properties.push(response.subscriptionProperties);
          messages.push(...(response.receivedMessages ?? []).map((one) => received(one, openedMs)));
        });
        const send = (request: StreamRequest) => stream.write(request);
        requests.forEach(send);
        return { messages, properties, ended, send, cancel: () => stream.cancel() };
      },
    };
  }

  return { publisher, subscriber, fresh, close: () => Promise.all([publisher.close(), subscriber.close()]) };
}

/** The code of the error of a call; 0 where there is none. */
export const codeOf = (call: Promise<unknown>): Promise<number> =>
  call.then(
    () => 0,
    (error: unknown) => (error as ServiceError).code,
  );

export const textsOf = (messages: readonly Received[]): string[] => messages.map(({ text }) => text);
