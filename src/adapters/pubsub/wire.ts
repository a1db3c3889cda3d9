/** The messages of `proto/pubsub.proto` as proto-loader gives and takes them. */

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

export interface Subscription {
  readonly deadLetterPolicy: { readonly maxDeliveryAttempts: number } | null;
  readonly retryPolicy: object | null;
}

export interface NewSubscription {
  readonly name: string;
  readonly topic: string;
  readonly ackDeadlineSeconds: number;
  readonly messageRetentionDuration: { readonly seconds: number };
  readonly expirationPolicy: { readonly ttl: { readonly seconds: number } };
}

export interface PullRequest {
  readonly subscription: string;
  readonly maxMessages: number;
  /** Answer at once, even with nothing. Google discourages it. */
  readonly returnImmediately?: boolean;
}

/** The unary methods, each with its request and its response. */
export interface Methods {
  Publish: { request: PublishRequest; response: { readonly messageIds: readonly string[] } };
  GetSubscription: { request: { readonly subscription: string }; response: Subscription };
  CreateSubscription: { request: NewSubscription; response: Subscription };
  DeleteSubscription: { request: { readonly subscription: string }; response: object };
  Pull: { request: PullRequest; response: { readonly receivedMessages: readonly ReceivedMessage[] } };
  Acknowledge: { request: { readonly subscription: string; readonly ackIds: readonly string[] }; response: object };
  ModifyAckDeadline: {
    request: { readonly subscription: string; readonly ackIds: readonly string[]; readonly ackDeadlineSeconds: number };
    response: object;
  };
}
