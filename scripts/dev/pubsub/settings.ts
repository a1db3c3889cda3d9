/** A subscription's settings: what may be given, what stands for what is not, and what may change. */
import type { Duration, Subscription } from '../../../src/adapters/pubsub/wire.js';
import type { Policies } from './backlog.js';
import { invalid, unimplemented } from './refusal.js';

/** As in the protocol. What is not named here is kept as it was given. */
export interface Settings extends Subscription {
  readonly enableMessageOrdering: boolean;
}

const DAY = 86_400;
const DEFAULT_RETENTION = { seconds: 7 * DAY };
const DEFAULT_EXPIRATION = { ttl: { seconds: 31 * DAY } };
const DEFAULT_BACKOFF = { minimumBackoff: { seconds: 10 }, maximumBackoff: { seconds: 600 } };
const CHANGEABLE: ReadonlySet<string> = new Set([
  ...['ackDeadlineSeconds', 'messageRetentionDuration', 'retainAckedMessages', 'labels'],
  ...['expirationPolicy', 'deadLetterPolicy', 'retryPolicy'],
]);
/** Ways of delivery that only the service has. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  bigqueryConfig: 'BigQuery subscriptions',
  cloudStorageConfig: 'Cloud Storage subscriptions',
  bigtableConfig: 'Bigtable subscriptions',
  enableExactlyOnceDelivery: 'delivery exactly once',
};

/** @throws Refusal INVALID_ARGUMENT for a name that no topic or subscription can have */
export function checkName(kind: 'topics' | 'subscriptions', name: string): void {
  const id = new RegExp(`^projects/[^/]+/${kind}/([A-Za-z][\\w.~+%-]{2,254})$`).exec(name)?.[1];
  if (id === undefined || id.startsWith('goog')) throw invalid(`Invalid [${kind}] name: (name=${name})`);
}

/** Fills in the defaults. @throws Refusal for what is out of range, and for what only the service has */
export function complete(given: Settings): Settings {
  const elsewhere = Object.keys(ELSEWHERE).find((name) => fieldsOf(given)[name]);
  if (elsewhere !== undefined) throw unimplemented(ELSEWHERE[elsewhere] ?? elsewhere);
  if (given.pushConfig?.pushEndpoint) throw unimplemented('push subscriptions');
  const { retryPolicy, deadLetterPolicy } = given;
  const settings: Settings = {
    ...given,
    ackDeadlineSeconds: given.ackDeadlineSeconds || 10,
    messageRetentionDuration: given.messageRetentionDuration ?? DEFAULT_RETENTION,
    expirationPolicy: given.expirationPolicy ?? DEFAULT_EXPIRATION,
    retryPolicy: retryPolicy && {
      minimumBackoff: retryPolicy.minimumBackoff ?? DEFAULT_BACKOFF.minimumBackoff,
      maximumBackoff: retryPolicy.maximumBackoff ?? DEFAULT_BACKOFF.maximumBackoff,
    },
    deadLetterPolicy: deadLetterPolicy?.deadLetterTopic
      ? { ...deadLetterPolicy, maxDeliveryAttempts: deadLetterPolicy.maxDeliveryAttempts || 5 }
      : null,
  };
  checkRanges(settings);
  return settings;
}

function checkRanges(settings: Settings): void {
  const within = (name: string, value: number, least: number, most: number) => {
    if (value < least || value > most) throw invalid(`Invalid ${name}: ${value}. Expected ${least} to ${most}.`);
  };
  within('ack_deadline_seconds', settings.ackDeadlineSeconds, 10, 600);
  within('message_retention_duration', seconds(settings.messageRetentionDuration), 600, 31 * DAY);
  if (settings.expirationPolicy?.ttl) {
    within('expiration_policy.ttl', seconds(settings.expirationPolicy.ttl), DAY, Infinity);
  }
  if (settings.deadLetterPolicy) {
    within('dead_letter_policy.max_delivery_attempts', settings.deadLetterPolicy.maxDeliveryAttempts, 5, 100);
  }
  if (settings.retryPolicy) {
    const least = seconds(settings.retryPolicy.minimumBackoff);
    within('retry_policy.minimum_backoff', least, 0, 600);
    within('retry_policy.maximum_backoff', seconds(settings.retryPolicy.maximumBackoff), least, 600);
  }
}

/**
 * @param paths fields by their names in the protocol, such as `retry_policy` or `retry_policy.minimum_backoff`
 * @throws Refusal INVALID_ARGUMENT for fields that do not exist or cannot change
 */
export function change(found: Settings, wanted: Settings, paths: readonly string[]): Settings {
  if (paths.length === 0) throw invalid('The update_mask must be set and must contain a non-empty paths list.');
  const settings: Record<string, unknown> = { ...found };
  for (const path of paths) {
    const [field = '', part] = path.split('.').map(camelCase);
    const value = fieldsOf(wanted)[field];
    if (/[A-Z]/.test(path) || value === undefined) throw invalid(`${path} is not a known Subscription field.`);
    if (!CHANGEABLE.has(field)) throw invalid(`The ${path} field in the Subscription is not mutable.`);
    const inside = (of: unknown) => (of as Readonly<Record<string, unknown>> | null)?.[part ?? ''];
    settings[field] = part === undefined ? value : { ...(settings[field] as object), [part]: inside(value) };
  }
  return complete(settings as unknown as Settings);
}

export function policiesOf({ enableMessageOrdering, retryPolicy, deadLetterPolicy }: Settings): Policies {
  return {
    ordered: enableMessageOrdering,
    backoffMs: retryPolicy
      ? { least: 1000 * seconds(retryPolicy.minimumBackoff), most: 1000 * seconds(retryPolicy.maximumBackoff) }
      : undefined,
    mostAttempts: deadLetterPolicy?.maxDeliveryAttempts,
  };
}

const seconds = (duration: (Duration & { readonly nanos?: number }) | null): number =>
  (duration?.seconds ?? 0) + (duration?.nanos ?? 0) / 1e9;

const fieldsOf = (settings: Settings) => settings as unknown as Readonly<Record<string, unknown>>;

const camelCase = (name: string): string => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
