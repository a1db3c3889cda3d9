/** How messages leave a subscription: they are pulled, pushed to a webhook, or written to BigQuery or Cloud Storage. */
import { durationText } from '../setup-step.js';
import type { SubscriptionProperty } from './properties.js';
import type { BigQueryConfig, CloudStorageConfig, PushConfig, Subscription } from './wire.js';

interface Common {
  /** If undefined, an existing subscription keeps its ack deadline, and a new one gets Pub/Sub's default. */
  readonly ackDeadlineSeconds?: number;
  /** Warnings for the person who runs setup, one sentence each. */
  readonly warnings: readonly string[];
}

export type DeliveryType = Common &
  (
    | { readonly kind: 'pull' }
    | { readonly kind: 'push'; readonly config: PushConfig }
    | { readonly kind: 'BigQuery'; readonly config: BigQueryConfig }
    | { readonly kind: 'Cloud Storage'; readonly config: CloudStorageConfig }
  );

export const PULL: DeliveryType = { kind: 'pull', warnings: [] };

export function kindOf({ pushConfig, bigqueryConfig, cloudStorageConfig }: Subscription): DeliveryType['kind'] {
  if (bigqueryConfig) return 'BigQuery';
  if (cloudStorageConfig) return 'Cloud Storage';
  return pushConfig?.pushEndpoint ? 'push' : 'pull';
}

/** @returns one property, or none for a subscription that is pulled */
export function deliveryProperties(delivery: DeliveryType): SubscriptionProperty[] {
  switch (delivery.kind) {
    case 'pull':
      return [];
    case 'push': {
      const { config } = delivery;
      const found = ({ pushConfig }: Subscription) => pushInWords(pushConfig);
      return [{ name: 'pushes to', wanted: pushInWords(config), found, patch: { pushConfig: config } }];
    }
    case 'BigQuery': {
      const { config } = delivery;
      const found = ({ bigqueryConfig }: Subscription) => tableInWords(bigqueryConfig);
      return [{ name: 'writes to', wanted: tableInWords(config), found, patch: { bigqueryConfig: config } }];
    }
    case 'Cloud Storage': {
      const { config } = delivery;
      const found = ({ cloudStorageConfig }: Subscription) => filesInWords(cloudStorageConfig);
      return [{ name: 'writes to', wanted: filesInWords(config), found, patch: { cloudStorageConfig: config } }];
    }
  }
}

/** By their numbers in proto/pubsub.proto; 0 and 1 are no problem. */
const BIGQUERY_STATES = ['', '', 'PERMISSION_DENIED', 'NOT_FOUND', 'SCHEMA_MISMATCH'];
const STORAGE_STATES = ['', '', 'PERMISSION_DENIED', 'NOT_FOUND', 'IN_TRANSIT_LOCATION_RESTRICTION', 'SCHEMA_MISMATCH'];

/** What Pub/Sub says of a subscription that it cannot write from. @returns undefined if it says nothing */
export function stateProblem({ bigqueryConfig, cloudStorageConfig }: Subscription): string | undefined {
  const state = bigqueryConfig?.state ?? cloudStorageConfig?.state ?? 0;
  if (state <= 1) return undefined;
  const word = (bigqueryConfig ? BIGQUERY_STATES : STORAGE_STATES)[state] ?? `state ${state}`;
  return `Pub/Sub writes nothing to ${bigqueryConfig?.table ?? cloudStorageConfig?.bucket ?? ''}: ${word}`;
}

function pushInWords(config: PushConfig | null): string {
  if (!config?.pushEndpoint) return 'nowhere';
  const { pushEndpoint, oidcToken, noWrapper } = config;
  const token = oidcToken ? `a token of ${oidcToken.serviceAccountEmail} for ${oidcToken.audience}` : 'no token';
  return `${pushEndpoint} with ${token}${noWrapper ? ', unwrapped' : ''}`;
}

function tableInWords(config: BigQueryConfig | null): string {
  if (!config) return 'no table';
  const schema = config.useTopicSchema ? "the topic's schema" : config.useTableSchema ? "the table's schema" : '';
  return [
    `${config.table} with ${[schema, config.writeMetadata ? 'metadata' : 'no metadata'].filter(Boolean).join(' and ')}`,
    ...(config.dropUnknownFields ? ['unknown fields dropped'] : []),
    ...writerInWords(config),
  ].join(', ');
}

function filesInWords(config: CloudStorageConfig | null): string {
  if (!config) return 'no bucket';
  const { bucket, filenamePrefix, filenameDatetimeFormat, filenameSuffix, avroConfig, maxDuration } = config;
  return [
    `gs://${bucket}/${filenamePrefix}${filenameDatetimeFormat}…${filenameSuffix} as ${avroConfig ? 'Avro' : 'text'}`,
    `a file for at most ${durationText(maxDuration?.seconds ?? 0)} or ${config.maxBytes} bytes`,
    ...(config.maxMessages ? [`or ${config.maxMessages} messages`] : []),
    ...writerInWords(config),
  ].join(', ');
}

const writerInWords = ({ serviceAccountEmail }: { readonly serviceAccountEmail?: string }) =>
  serviceAccountEmail ? [`by ${serviceAccountEmail}`] : [];
