/** Creates topics and subscriptions, or brings existing subscriptions to the wanted policies. */
import type { PubSub } from '@google-cloud/pubsub';

export type Ensured = 'created' | 'updated' | 'unchanged';

export interface JobsSubscription {
  readonly topic: string;
  readonly deadLetterTopic: string;
  /** The service's own limit: a last resort behind the worker's smaller budget. */
  readonly maxDeliveryAttempts: number;
  /** Pub/Sub filter on attributes; only ever set at creation, since the service does not let it change. */
  readonly filter?: string | undefined;
}

/**
 * The lease of a message, which a worker extends as long as it works on it: that of the subscription, and what the
 * client asks for each time. Short, so that the jobs of a killed worker come back soon; Pub/Sub permits no less. What it
 * costs: every message in work is extended every few seconds (many in one request), and a worker that cannot do so for
 * 10 s (its network is gone, its event loop blocked) has its jobs given to others as well. Their records keep that
 * harmless.
 */
export const ACK_DEADLINE_SECONDS = 10;
/** Holds for what is given back and, on Google's service, for expired leases too: the jobs of a killed worker wait for it. */
const RETRY_POLICY = { minimumBackoff: { seconds: 2 }, maximumBackoff: { seconds: 600 } };
const NEVER_EXPIRES = { expirationPolicy: { ttl: null } };

/** gRPC's code for something that is there already. */
const ALREADY_EXISTS = 6;

export async function ensureTopic(pubsub: PubSub, name: string): Promise<Ensured> {
  return (await createUnlessThere(() => pubsub.createTopic(name))) ? 'created' : 'unchanged';
}

/** A subscription that keeps everything until somebody acks it: for dead letters, or for a reader of completions. */
export async function ensurePlainSubscription(pubsub: PubSub, topic: string, name: string): Promise<Ensured> {
  const created = await createUnlessThere(() => pubsub.topic(topic).createSubscription(name, NEVER_EXPIRES));
  return created ? 'created' : 'unchanged';
}

/** A subscription for workers: with a retry policy and a dead-letter policy, without which attempts are not counted. */
export async function ensureJobsSubscription(pubsub: PubSub, name: string, want: JobsSubscription): Promise<Ensured> {
  const policies = {
    ackDeadlineSeconds: ACK_DEADLINE_SECONDS,
    retryPolicy: RETRY_POLICY,
    deadLetterPolicy: {
      deadLetterTopic: pubsub.topic(want.deadLetterTopic).name,
      maxDeliveryAttempts: want.maxDeliveryAttempts,
    },
  };
  const creation = { ...policies, ...NEVER_EXPIRES, ...(want.filter === undefined ? {} : { filter: want.filter }) };
  if (await createUnlessThere(() => pubsub.topic(want.topic).createSubscription(name, creation))) return 'created';

  const subscription = pubsub.subscription(name);
  const [found] = await subscription.getMetadata();
  const attempts = found.deadLetterPolicy?.maxDeliveryAttempts;
  const backoff = Number(found.retryPolicy?.minimumBackoff?.seconds ?? 0);
  const same =
    found.ackDeadlineSeconds === policies.ackDeadlineSeconds &&
    found.deadLetterPolicy?.deadLetterTopic === policies.deadLetterPolicy.deadLetterTopic &&
    attempts === want.maxDeliveryAttempts &&
    backoff === RETRY_POLICY.minimumBackoff.seconds;
  if (same) return 'unchanged';
  await subscription.setMetadata(policies);
  return 'updated';
}

/**
 * What a jobs subscription lacks of what the worker counts on, each in a sentence.
 * @param attempts the worker's own budget; the service's must be larger
 * @throws Error of the client, when there is no such subscription or it may not be looked at
 */
export async function shortcomings(pubsub: PubSub, name: string, attempts: number): Promise<string[]> {
  const [found] = await pubsub.subscription(name).getMetadata();
  const limit = found.deadLetterPolicy?.maxDeliveryAttempts ?? 0;
  return [
    ...(limit === 0
      ? ['it has no dead-letter policy: attempts are not counted, and a job that kills its worker comes back for ever']
      : []),
    ...(limit > 0 && limit <= attempts
      ? [`its dead-letter policy allows ${limit} attempts: expected more than IMAGEN_MAX_ATTEMPTS, ${attempts}`]
      : []),
    ...(found.retryPolicy ? [] : ['it has no retry policy: what is given back comes again at once']),
  ];
}

async function createUnlessThere(create: () => Promise<unknown>): Promise<boolean> {
  try {
    await create();
    return true;
  } catch (error) {
    if ((error as { code?: unknown }).code === ALREADY_EXISTS) return false;
    throw error;
  }
}
