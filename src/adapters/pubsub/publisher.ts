import type { PubSub } from '@google-cloud/pubsub';
import { NotPublishable, type Publisher } from '../../domain/ports.js';
import { annotate, inSpan, SpanKind, traceHeaders } from '../../tracing/spans.js';
import { within } from '../within.js';

/** What Pub/Sub permits. */
const MOST_ATTRIBUTES = 100;

/** Longer than it takes to notice a dead connection (PUBLISHING in client.ts) and to try again on a new one. */
const PUBLISH_LIMIT_MS = 20_000;

/**
 * A topic as a Publisher. A publish that was given up may still arrive: every publish of one outcome is the same.
 * @param limitMs of one publish, retries of the client included, in milliseconds
 */
export function createPublisher(pubsub: PubSub, topicName: string, limitMs = PUBLISH_LIMIT_MS): Publisher {
  // Left alone, the client would go on for ten minutes with what nobody waits for any more.
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
          // The client sends nothing more with a key that has failed, until it is told that order does not matter.
          if (orderingKey !== undefined) topic.resumePublishing(orderingKey);
          throw refusal(thrown, topicName);
        }
      });
    },
  };
}

/** gRPC's code for a request that is wrong in itself. */
const INVALID_ARGUMENT = 3;

/** The client sends messages in batches, and one that is wrong has all of its batch refused: try it again. */
function refusal(thrown: unknown, topicName: string): unknown {
  if (!(thrown instanceof Error) || (thrown as { code?: unknown }).code !== INVALID_ARGUMENT) return thrown;
  return new NotPublishable(`publish to ${topicName}: ${thrown.message}`, { cause: thrown });
}

/** With the active trace for whoever reads the message, unless the message belongs to one already, as a copy may. */
function inTrace(attributes: Readonly<Record<string, string>>): Record<string, string> {
  if ('traceparent' in attributes) return { ...attributes };
  const headers = traceHeaders();
  const count = Object.keys(attributes).length + Object.keys(headers).length;
  return count > MOST_ATTRIBUTES ? { ...attributes } : { ...attributes, ...headers };
}
