/** Plans and makes changes to topics and subscriptions, with their policies. */
import { difference, differing, type Property, span, type Step, StepFailed } from '../plan.js';
import { administer, unlessMissing, unlessThere } from './admin-calls.js';
import type { PubSubChannel } from './channel.js';
import type { Subscription, SubscriptionSettings } from './wire.js';

export interface JobsSubscription {
  readonly topic: string;
  readonly deadLetterTopic: string;
  /** The service's limit. It is a last resort behind the worker's smaller limit. */
  readonly maxDeliveryAttempts: number;
  /**
   * Pub/Sub filter on attributes. It is set at creation, since the service cannot change it later. If undefined, an existing
   * subscription keeps its filter, and a new one gets none.
   */
  readonly filter?: string | undefined;
}

/**
 * Length of a message's lease, in seconds, both of the subscription and of each extension. A worker extends the lease as
 * long as it works on the message. The lease is short, so that the jobs of a killed worker return soon; Pub/Sub permits no
 * less. As a cost, every message in work is extended every few seconds (many in one request). If a worker cannot extend for
 * 10 s (its network is gone, its event loop blocked), its jobs go to other workers too. The records keep that harmless.
 */
export const ACK_DEADLINE_SECONDS = 10;
/**
 * Applies to messages that are given back and, on Google's service, also to expired leases. The jobs of a killed worker wait
 * for it.
 */
const RETRY_POLICY = { minimumBackoff: { seconds: 2 }, maximumBackoff: { seconds: 600 } };
/** How long a job may wait in its subscription. Records must outlive it: see `leastStateDays` in cli/setup/wanted.ts. */
export const JOBS_RETENTION_SECONDS = 7 * 86_400;
/** How long dead letters are kept: as long as Pub/Sub permits, because the people who read them may be away. */
export const DEAD_LETTERS_RETENTION_SECONDS = 31 * 86_400;
/** The emulator permits no more. */
export const EMULATOR_RETENTION_SECONDS = 7 * 86_400;

type SubscriptionProperty = Property<Subscription, Partial<SubscriptionSettings>>;

export async function planTopic(channel: PubSubChannel, name: string): Promise<Step> {
  const there = await unlessMissing(`look at ${name}`, () =>
    administer(channel, 'GetTopic', { topic: channel.topic(name) }),
  );
  return {
    ...{ kind: 'topic', name, details: [], obstacles: [], warnings: [] },
    todo: there ? 'nothing' : 'create',
    async apply() {
      if (!there) await unlessThere(name, () => administer(channel, 'CreateTopic', { name: channel.topic(name) }));
    },
  };
}

/** Plans a subscription that keeps every message until it is acked: for dead letters, or for a reader of completions. */
export function planPlainSubscription(
  channel: PubSubChannel,
  topic: string,
  name: string,
  retentionSeconds = JOBS_RETENTION_SECONDS,
): Promise<Step> {
  return planSubscription(channel, { topic, name, properties: [retention(retentionSeconds), NEVER_EXPIRES] });
}

/**
 * Plans a subscription for workers. It has a retry policy, and a dead-letter policy, since Pub/Sub counts attempts only with
 * one.
 */
export function planJobsSubscription(channel: PubSubChannel, name: string, want: JobsSubscription): Promise<Step> {
  const { topic, filter, maxDeliveryAttempts } = want;
  const deadLetterTopic = channel.topic(want.deadLetterTopic);
  const properties: SubscriptionProperty[] = [
    {
      name: 'ack deadline',
      wanted: span(ACK_DEADLINE_SECONDS),
      found: ({ ackDeadlineSeconds }) => span(ackDeadlineSeconds),
      patch: { ackDeadlineSeconds: ACK_DEADLINE_SECONDS },
    },
    {
      name: 'retry after',
      wanted: backoff(RETRY_POLICY),
      found: ({ retryPolicy }) => backoff(retryPolicy),
      patch: { retryPolicy: RETRY_POLICY },
    },
    {
      name: 'dead letters',
      wanted: deadLetters({ deadLetterTopic, maxDeliveryAttempts }),
      found: ({ deadLetterPolicy }) => deadLetters(deadLetterPolicy),
      patch: { deadLetterPolicy: { deadLetterTopic, maxDeliveryAttempts } },
    },
    retention(JOBS_RETENTION_SECONDS),
    NEVER_EXPIRES,
  ];
  return planSubscription(channel, { topic, name, filter, properties });
}

/** Plans the topic and applies the plan. */
export async function ensureTopic(channel: PubSubChannel, name: string): Promise<void> {
  await (await planTopic(channel, name)).apply();
}

/** Plans the jobs subscription and applies the plan. */
export async function ensureJobsSubscription(
  channel: PubSubChannel,
  name: string,
  want: JobsSubscription,
): Promise<void> {
  await (await planJobsSubscription(channel, name, want)).apply();
}

async function planSubscription(
  channel: PubSubChannel,
  want: {
    readonly topic: string;
    readonly name: string;
    readonly filter?: string | undefined;
    readonly properties: readonly SubscriptionProperty[];
  },
): Promise<Step> {
  const { topic, name, properties } = want;
  const filter = want.filter ?? '';
  const step = { kind: 'subscription' as const, name, warnings: [] };
  const subscription = channel.subscription(name);
  const found = await unlessMissing(`look at ${name}`, () => administer(channel, 'GetSubscription', { subscription }));
  if (!found) {
    const creation = { name: subscription, topic: channel.topic(topic), filter, ...merged(properties) };
    return {
      ...step,
      todo: 'create',
      details: [
        `topic: ${topic}`,
        ...(filter === '' ? [] : [`filter: ${filter}`]),
        ...properties.map(({ name: property, wanted }) => `${property}: ${wanted}`),
      ],
      obstacles: [],
      async apply() {
        const create = () => administer(channel, 'CreateSubscription', creation);
        // Another process may have created it concurrently, possibly with other settings.
        if (!(await unlessThere(name, create))) await (await planSubscription(channel, want)).apply();
      },
    };
  }

  const wrong = differing(properties, found);
  const obstacles = [
    ...(found.topic === channel.topic(topic)
      ? []
      : [`subscription ${name} belongs to ${found.topic}, wanted ${topic}: no subscription can change its topic`]),
    ...(want.filter === undefined || found.filter === filter
      ? []
      : [
          `subscription ${name} has ${filterInWords(found.filter)}, wanted ${filterInWords(filter)}: Pub/Sub does not let a filter change. Make new ones under another name (IMAGEN_JOBS_SUBSCRIPTIONS), let workers empty both, then delete this one`,
        ]),
  ];
  return {
    ...step,
    todo: wrong.length === 0 ? 'nothing' : 'update',
    details: wrong.map((property) => difference(property, found)),
    obstacles,
    async apply() {
      if (wrong.length === 0) return;
      const patch = merged(wrong);
      const updateMask = { paths: Object.keys(patch).map(inProtocol) };
      const change = () =>
        administer(channel, 'UpdateSubscription', { subscription: { name: subscription, ...patch }, updateMask });
      if (!(await unlessMissing(`change ${name}`, change))) throw new StepFailed(`change ${name}`, 'it has just gone');
    },
  };
}

/** Pub/Sub's expiration if there is no policy. */
const DEFAULT_EXPIRATION_SECONDS = 31 * 86_400;
const NEVER_EXPIRES: SubscriptionProperty = {
  name: 'expires',
  wanted: 'never',
  found: ({ expirationPolicy: policy }) => {
    if (policy && !policy.ttl) return 'never';
    return `after ${span(policy?.ttl?.seconds ?? DEFAULT_EXPIRATION_SECONDS)} without use`;
  },
  patch: { expirationPolicy: { ttl: null } },
};

function retention(seconds: number): SubscriptionProperty {
  return {
    name: 'keeps messages',
    wanted: span(seconds),
    found: ({ messageRetentionDuration: found }) => span(found?.seconds ?? 0),
    patch: { messageRetentionDuration: { seconds } },
  };
}

function backoff(policy: Subscription['retryPolicy']): string {
  if (!policy) return 'at once';
  return `${span(policy.minimumBackoff?.seconds ?? 0)} to ${span(policy.maximumBackoff?.seconds ?? 0)}`;
}

function deadLetters(policy: Subscription['deadLetterPolicy']): string {
  if (!policy?.deadLetterTopic) return 'nowhere';
  return `to ${policy.deadLetterTopic} after ${policy.maxDeliveryAttempts} attempts`;
}

const filterInWords = (filter: string) => (filter ? `the filter ${filter}` : 'no filter');

function merged(properties: readonly SubscriptionProperty[]): Partial<SubscriptionSettings> {
  return Object.assign({}, ...properties.map(({ patch }) => patch)) as Partial<SubscriptionSettings>;
}

/** `retryPolicy` → `retry_policy` */
const inProtocol = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
