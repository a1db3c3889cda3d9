/** Plans and makes changes to topics and subscriptions, with their policies. */
import { difference, differing, type SetupStep, StepFailed } from '../setup-step.js';
import { administer, unlessMissing, unlessThere } from './admin-calls.js';
import type { PubSubChannel } from './channel.js';
import { type DeliveryType, deliveryProperties, kindOf, PULL, stateProblem } from './delivery-type.js';
import {
  ackDeadline,
  deadLetters,
  JOBS_RETENTION_SECONDS,
  merged,
  NEVER_EXPIRES,
  retention,
  RETRIES,
  type SubscriptionProperty,
} from './properties.js';

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
/** How long dead letters are kept: as long as Pub/Sub permits, because the people who read them may be away. */
export const DEAD_LETTERS_RETENTION_SECONDS = 31 * 86_400;
/** The emulator permits no more. */
export const EMULATOR_RETENTION_SECONDS = 7 * 86_400;

export async function planTopic(channel: PubSubChannel, name: string): Promise<SetupStep> {
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

/** Plans a subscription that keeps every message until it is acked, such as that of dead letters. */
export function planPlainSubscription(
  channel: PubSubChannel,
  topic: string,
  name: string,
  retentionSeconds = JOBS_RETENTION_SECONDS,
): Promise<SetupStep> {
  return planSubscription(channel, { topic, name, properties: [retention(retentionSeconds), NEVER_EXPIRES] });
}

export interface CompletionsSubscription {
  readonly name: string;
  readonly topic: string;
  readonly delivery: DeliveryType;
  /** As for {@link JobsSubscription}. */
  readonly filter?: string | undefined;
  /** If undefined, an existing subscription keeps its dead-letter policy, and a new one gets none. */
  readonly deadLetterTopic?: string | undefined;
}

/**
 * Attempts after which an undelivered completion is a dead letter. Pub/Sub permits no more. With the pauses of `RETRIES`, a
 * webhook may be away for 15 hours.
 */
const COMPLETION_ATTEMPTS = 100;

/** Plans a subscription for a reader of completions, which is pulled or which Pub/Sub delivers elsewhere. */
export function planCompletionsSubscription(channel: PubSubChannel, want: CompletionsSubscription): Promise<SetupStep> {
  const { topic, name, filter, delivery, deadLetterTopic } = want;
  const properties = [
    ...deliveryProperties(delivery),
    ...(delivery.ackDeadlineSeconds === undefined ? [] : [ackDeadline(delivery.ackDeadlineSeconds)]),
    ...(delivery.kind === 'push' ? [RETRIES] : []),
    ...(deadLetterTopic === undefined ? [] : [deadLetters(channel.topic(deadLetterTopic), COMPLETION_ATTEMPTS)]),
    retention(JOBS_RETENTION_SECONDS),
    NEVER_EXPIRES,
  ];
  return planSubscription(channel, { topic, name, filter, properties, delivery });
}

/**
 * Plans a subscription for workers. It has a retry policy, and a dead-letter policy, since Pub/Sub counts attempts only with
 * one.
 */
export function planJobsSubscription(channel: PubSubChannel, name: string, want: JobsSubscription): Promise<SetupStep> {
  const { topic, filter, maxDeliveryAttempts } = want;
  const deadLetterTopic = channel.topic(want.deadLetterTopic);
  const properties: SubscriptionProperty[] = [
    ackDeadline(ACK_DEADLINE_SECONDS),
    RETRIES,
    deadLetters(deadLetterTopic, maxDeliveryAttempts),
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
    /** If undefined, it is pulled, and not by a reader of completions. */
    readonly delivery?: DeliveryType;
  },
): Promise<SetupStep> {
  const { topic, name, properties, delivery = PULL } = want;
  const filter = want.filter ?? '';
  const step = { kind: 'subscription' as const, name };
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
      warnings: delivery.warnings,
      async apply() {
        const create = () => administer(channel, 'CreateSubscription', creation);
        // Another process may have created it concurrently, possibly with other settings.
        if (!(await unlessThere(name, create))) await (await planSubscription(channel, want)).apply();
      },
    };
  }

  const wrong = differing(properties, found);
  const state = stateProblem(found);
  const obstacles = [
    ...(kindOf(found) === delivery.kind
      ? []
      : [
          `subscription ${name} is a ${kindOf(found)} subscription, wanted a ${delivery.kind} subscription. ${ANOTHER_READER}`,
        ]),
    ...(found.topic === channel.topic(topic)
      ? []
      : [`subscription ${name} belongs to ${found.topic}, wanted ${topic}: no subscription can change its topic`]),
    ...(want.filter === undefined || found.filter === filter
      ? []
      : [
          `subscription ${name} has ${filterInWords(found.filter)}, wanted ${filterInWords(filter)}: Pub/Sub does not let a filter change. ${want.delivery ? ANOTHER_READER : OTHER_JOBS}`,
        ]),
  ];
  return {
    ...step,
    todo: wrong.length === 0 ? 'nothing' : 'update',
    details: wrong.map((property) => difference(property, found)),
    obstacles,
    warnings: [...delivery.warnings, ...(state === undefined ? [] : [`subscription ${name}: ${state}`])],
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

const OTHER_JOBS =
  'Make new ones under another name (IMAGEN_JOBS_SUBSCRIPTIONS), let workers empty both, then delete this one';
const ANOTHER_READER = 'Make one under another name, and delete this one when it has delivered what it holds';

const filterInWords = (filter: string) => (filter ? `the filter ${filter}` : 'no filter');

/** `retryPolicy` → `retry_policy` */
const inProtocol = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
