import type { JobMessage } from '../../domain/job.js';
import { jobSchema } from '../../domain/job.js';
import type { Delivery } from '../../domain/ports.js';
import type { JobRequest } from '../../records/request.js';

/** A dead letter: the message as its publisher sent it, and why it is there (src/worker/dead-letter.ts). */
export interface DeadLetter {
  /** Of the dead letter itself. */
  readonly messageId: string;
  /** Of the message that the publisher sent. */
  readonly originalMessageId?: string;
  /** Absent if the message has none that can be read. */
  readonly jobId?: string;
  /** Absent if Pub/Sub moved the message, because no worker has answered it. */
  readonly code?: string;
  readonly message: string;
  /** When it became a dead letter, as RFC 3339. */
  readonly publishedAt: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** The message's data: JSON if it is, else text. */
  readonly data: unknown;
}

/** Attributes that a worker adds. */
const ADDED = ['jobId', 'errorCode', 'errorMessage', 'eventId', 'messageId'];
const BY_PUBSUB = 'CloudPubSubDeadLetterSourceDeliveryCount';

export function deadLetterOf({ messageId, attributes, data, publishedAt }: Delivery): DeadLetter {
  const { errorCode, errorMessage, messageId: original } = attributes;
  const content = contentOf(data);
  const named = (content as { jobId?: unknown } | null)?.jobId;
  const jobId = attributes.jobId ?? (typeof named === 'string' ? named : undefined);
  const moved = `delivered ${attributes[BY_PUBSUB] ?? 'too many'} times without an answer`;
  return {
    messageId,
    ...(original === undefined ? {} : { originalMessageId: original }),
    ...(jobId === undefined ? {} : { jobId }),
    ...(errorCode === undefined ? {} : { code: errorCode }),
    message: errorMessage ?? (errorCode === undefined ? moved : ''),
    publishedAt: publishedAt.toISOString(),
    attributes: Object.fromEntries(Object.entries(attributes).filter(([name]) => !ADDED.includes(name))),
    data: content,
  };
}

/** What its publisher asked for, if the message can be published again. */
export function requestOfLetter({ data, attributes }: DeadLetter): JobRequest | undefined {
  if (!jobSchema.safeParse(data).success) return undefined;
  const own = Object.entries(attributes).filter(([name]) => !name.startsWith('CloudPubSub'));
  return { message: data as JobMessage, attributes: Object.fromEntries(own) };
}

function contentOf(data: Buffer): unknown {
  const text = data.toString('utf8');
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
