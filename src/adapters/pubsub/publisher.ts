import type { PubSub } from '@google-cloud/pubsub';
import { NotPublishable, type Publisher } from '../../domain/ports.js';
import { annotate, inSpan, SpanKind, traceHeaders } from '../../tracing/spans.js';
import { within } from '../within.js';

/** Pub/Sub's limit on the attributes of a message. */
const MOST_ATTRIBUTES = 100;

/**
 * Time limit for one publish, in milliseconds. It is long enough to notice a dead connection (PUBLISHING in client.ts) and
 * to retry on a new one.
 */
const PUBLISH_LIMIT_MS = 20_000;

/**
 * A topic as a Publisher. A publish that has timed out may still arrive. That is harmless, since every publish of one
 * outcome is the same.
 * @param limitMs of one publish with the client's retries, in milliseconds
 */
export function createPublisher(pubsub: PubSub, topicName: string, limitMs = PUBLISH_LIMIT_MS): Publisher {
  // By default the client retries for ten minutes, when nothing waits for the result any more.
  const backoffSettings = {
    initialRetryDelayMillis: 100,
    retryDelayMultiplier: 2,
    maxRetryDelayMillis: 2_000,
    initialRpcTimeoutMillis: limitMs,
    rpcTimeoutMultiplier: 1,
    maxRpcTimeoutMillis: limitMs,
    totalTimeoutMillis: limitMs,
  };
  const about = (data: Buffer) => () => ({
    'messaging.system': 'gcp_pubsub',
    'messaging.operation.name': 'send',
    'messaging.operation.type': 'send',
    'messaging.destination.name': topicName,
    'messaging.message.body.size': data.length,
  });
  const topic = pubsub.topic(topicName, { gaxOpts: { retry: { backoffSettings } } });
  return {
    async publish(data, attributes, orderingKey) {
      await inSpan(`send ${topicName}`, { kind: SpanKind.PRODUCER, attributes: about(data) }, async () => {
        const all = inTrace(attributes);
        const ordered = orderingKey === undefined ? {} : { orderingKey };
        const accepted = () => topic.publishMessage({ data, attributes: all, ...ordered });
        try {
          const id = await within(limitMs, `publish to ${topicName}`, accepted);
          annotate(() => ({ 'messaging.message.id': id }));
        } catch (thrown) {
          // After a failure the client stops sending messages with that ordering key until it is told to resume.
          if (orderingKey !== undefined) topic.resumePublishing(orderingKey);
          throw refusal(thrown, topicName);
        }
      });
    },
  };
}

/** gRPC's code for an invalid request. */
const INVALID_ARGUMENT = 3;

/**
 * The client sends messages in batches, and one invalid message makes the service refuse its whole batch. So the caller
 * retries.
 */
function refusal(thrown: unknown, topicName: string): unknown {
  if (!(thrown instanceof Error) || (thrown as { code?: unknown }).code !== INVALID_ARGUMENT) return thrown;
  return new NotPublishable(`publish to ${topicName}: ${thrown.message}`, { cause: thrown });
}

/** Adds the active trace for the reader of the message, unless the message already carries one, as a copy may. */
function inTrace(attributes: Readonly<Record<string, string>>): Record<string, string> {
  if ('traceparent' in attributes) return { ...attributes };
  const headers = traceHeaders();
  const count = Object.keys(attributes).length + Object.keys(headers).length;
  return count > MOST_ATTRIBUTES ? { ...attributes } : { ...attributes, ...headers };
}
