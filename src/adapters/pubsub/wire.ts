/** The messages of `proto/pubsub.proto` and `proto/iam.proto` as proto-loader gives and takes them. */

export interface Timestamp {
  readonly seconds: number;
  readonly nanos: number;
}

export interface PubsubMessage {
  readonly data: Buffer;
  readonly attributes: Readonly<Record<string, string>>;
  readonly messageId: string;
  readonly publishTime: Timestamp | null;
  /** Empty if the message has none. */
  readonly orderingKey: string;
}

export interface ReceivedMessage {
  readonly ackId: string;
  readonly message: PubsubMessage | null;
  /** 0 if the subscription has no dead-letter policy and so does not count deliveries. */
  readonly deliveryAttempt: number;
}

export interface StreamingPullRequest {
  readonly subscription?: string;
  readonly streamAckDeadlineSeconds?: number;
  readonly clientId?: string;
  readonly maxOutstandingMessages?: number;
  readonly maxOutstandingBytes?: number;
}

export interface StreamingPullResponse {
  readonly receivedMessages: readonly ReceivedMessage[];
}

export interface PublishRequest {
  readonly topic: string;
  readonly messages: readonly Pick<PubsubMessage, 'data' | 'attributes' | 'orderingKey'>[];
}

export interface Duration {
  readonly seconds: number;
}

export interface PushConfig {
  /** Empty for a subscription that is pulled. */
  readonly pushEndpoint: string;
  readonly oidcToken?: { readonly serviceAccountEmail: string; readonly audience: string } | null;
  /** If set, the request's body is the message's data alone. */
  readonly noWrapper?: object | null;
}

export interface BigQueryConfig {
  /** `project.dataset.table` */
  readonly table: string;
  readonly writeMetadata: boolean;
  readonly useTopicSchema?: boolean;
  readonly useTableSchema?: boolean;
  readonly dropUnknownFields?: boolean;
  /** By its number in the protocol. Only the service sets it. */
  readonly state?: number;
  /** If empty, Pub/Sub's service agent writes. */
  readonly serviceAccountEmail?: string;
}

export interface CloudStorageConfig {
  readonly bucket: string;
  readonly filenamePrefix: string;
  readonly filenameSuffix: string;
  readonly filenameDatetimeFormat: string;
  readonly textConfig?: object | null;
  readonly avroConfig?: object | null;
  readonly maxDuration: Duration | null;
  readonly maxBytes: number;
  /** 0: no limit. */
  readonly maxMessages?: number;
  /** By its number in the protocol. Only the service sets it. */
  readonly state?: number;
  /** If empty, Pub/Sub's service agent writes. */
  readonly serviceAccountEmail?: string;
}

/** What a subscription is created with, and what a change of it may set. */
export interface SubscriptionSettings {
  readonly ackDeadlineSeconds: number;
  readonly messageRetentionDuration: Duration;
  /** Without a `ttl`, the subscription never expires. */
  readonly expirationPolicy: { readonly ttl: Duration | null };
  readonly deadLetterPolicy: { readonly deadLetterTopic: string; readonly maxDeliveryAttempts: number };
  readonly retryPolicy: { readonly minimumBackoff: Duration | null; readonly maximumBackoff: Duration | null };
  readonly pushConfig: PushConfig;
  readonly bigqueryConfig: BigQueryConfig;
  readonly cloudStorageConfig: CloudStorageConfig;
}

export interface NewSubscription extends Partial<SubscriptionSettings> {
  readonly name: string;
  readonly topic: string;
  readonly filter?: string;
}

/** Messages that the service has left out are null, texts empty. */
export interface Subscription {
  readonly name: string;
  readonly topic: string;
  readonly filter: string;
  readonly ackDeadlineSeconds: number;
  readonly messageRetentionDuration: Duration | null;
  readonly expirationPolicy: SubscriptionSettings['expirationPolicy'] | null;
  readonly deadLetterPolicy: SubscriptionSettings['deadLetterPolicy'] | null;
  readonly retryPolicy: SubscriptionSettings['retryPolicy'] | null;
  readonly pushConfig: PushConfig | null;
  readonly bigqueryConfig: BigQueryConfig | null;
  readonly cloudStorageConfig: CloudStorageConfig | null;
}

interface ListTopicSubscriptions {
  readonly request: { readonly topic: string; readonly pageToken: string };
  readonly response: { readonly subscriptions: readonly string[]; readonly nextPageToken: string };
}

interface UpdateSubscription {
  readonly request: {
    readonly subscription: Partial<SubscriptionSettings> & { readonly name: string };
    /** Fields by their names in the protocol, such as `retry_policy`. */
    readonly updateMask: { readonly paths: readonly string[] };
  };
  readonly response: Subscription;
}

export interface PullRequest {
  readonly subscription: string;
  readonly maxMessages: number;
  /** Answer at once, even with nothing. Google discourages it. */
  readonly returnImmediately?: boolean;
}

interface TestIamPermissions {
  readonly request: { readonly resource: string; readonly permissions: readonly string[] };
  readonly response: { readonly permissions: readonly string[] };
}

/** The unary methods, each with its request and its response. */
export interface Methods {
  Publish: { request: PublishRequest; response: { readonly messageIds: readonly string[] } };
  CreateTopic: { request: { readonly name: string }; response: object };
  GetTopic: { request: { readonly topic: string }; response: object };
  ListTopicSubscriptions: ListTopicSubscriptions;
  GetSubscription: { request: { readonly subscription: string }; response: Subscription };
  CreateSubscription: { request: NewSubscription; response: Subscription };
  UpdateSubscription: UpdateSubscription;
  DeleteSubscription: { request: { readonly subscription: string }; response: object };
  Pull: { request: PullRequest; response: { readonly receivedMessages: readonly ReceivedMessage[] } };
  Acknowledge: { request: { readonly subscription: string; readonly ackIds: readonly string[] }; response: object };
  ModifyAckDeadline: {
    request: { readonly subscription: string; readonly ackIds: readonly string[]; readonly ackDeadlineSeconds: number };
    response: object;
  };
  TestIamPermissions: TestIamPermissions;
}
