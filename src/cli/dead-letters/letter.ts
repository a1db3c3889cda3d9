import { JobError } from '../../domain/errors.js';
import { type JobMessage, originalOf, parseJob } from '../../domain/job.js';
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
  /** The message's data: JSON if it is, else text. Of a key that is given twice it shows the last value. */
  readonly data: unknown;
  /** Whether the worker's parser accepts the message, so that it can be published again. */
  readonly isJob: boolean;
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
    isJob: isJob(data),
  };
}

function isJob(data: Buffer): boolean {
  try {
    parseJob(data);
    return true;
  } catch (thrown) {
    if (thrown instanceof JobError) return false;
    throw thrown;
  }
}

/** What its publisher asked for, if the message can be published again. */
export function requestOfLetter({ data, isJob, attributes }: DeadLetter): JobRequest | undefined {
  if (!isJob) return undefined;
  const own = Object.entries(attributes).filter(([name]) => !name.startsWith('CloudPubSub'));
  return { message: data as JobMessage, attributes: Object.fromEntries(own) };
}

/**
 * The last letter of each job, by the job's id: one that can be published again, if there is any. A redrive counts as its
 * job. Letters without an id stand for themselves.
 */
export function lettersByJob(letters: readonly DeadLetter[]): ReadonlyMap<string, DeadLetter> {
  const jobs = new Map<string, DeadLetter>();
  for (const letter of letters) {
    const { jobId, messageId, isJob } = letter;
    const original = jobId === undefined ? `message ${messageId}` : originalOf(jobId);
    if (isJob || !jobs.has(original)) jobs.set(original, letter);
  }
  return jobs;
}

function contentOf(data: Buffer): unknown {
  // A TextDecoder skips a byte order mark, as the worker's parser does.
  const text = new TextDecoder().decode(data);
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
