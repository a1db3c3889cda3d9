/**
 * The four things that cross the network. Adapters implement these; everything else is written against them.
 * Every call takes a signal and settles soon after it fires. Every call may run beside any other.
 */
import type { ModelContract } from './contract.js';
import type { BucketAccess } from './errors.js';
import type { ParameterValue, Priority } from './job.js';
import type { Tensor } from './tensor.js';
import type { ObjectRef } from './uri.js';

// ── Cloud Storage ─────────────────────────────────────────────────────────────

export interface ObjectInfo {
  readonly generation: string;
  readonly bytes: number;
  readonly contentType: string;
  /** Base64 of the big-endian CRC32C, as Cloud Storage writes it. */
  readonly crc32c: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A missing object is an answer, not an exception. */
export type ReadResult =
  | {
      readonly kind: 'found';
      /** As they were before they were compressed, for an object that is stored with `Content-Encoding: gzip`. */
      readonly bytes: Buffer;
      readonly generation: string;
      /** Another coding that the object declares, such as `br`; the bytes are as they are stored. */
      readonly contentEncoding?: string;
    }
  | { readonly kind: 'missing' }
  /**
   * `bytes` is the object's size; where that is not known, or is of compressed bytes that inflate to more than is
   * permitted, how many had come when the rest was given up.
   */
  | { readonly kind: 'too-large'; readonly bytes: number }
  /** It is stored so: its checksum holds, but it does not inflate. */
  | { readonly kind: 'corrupt'; readonly reason: string }
  /** The object demands what this service never has: a customer's own key, or a project that pays for the request. */
  | { readonly kind: 'refused'; readonly reason: string };

export type CreateResult =
  | { readonly kind: 'created'; readonly info: ObjectInfo }
  | { readonly kind: 'exists'; readonly info: ObjectInfo; readonly sameBytes: boolean };

/** Each call makes a single attempt within the adapter's own time limit; whoever calls decides about another. */
export interface ObjectStore {
  /**
   * Reads a whole object, of the given generation or the current one; stops as soon as it is known to exceed
   * `maxBytes`.
   * @throws JobError `STORAGE_UNAVAILABLE` when storage cannot be reached or refuses us
   */
  read(
    ref: ObjectRef & { readonly generation?: string },
    options: { readonly maxBytes: number; readonly signal: AbortSignal },
  ): Promise<ReadResult>;
  /** @returns undefined when there is no such object. @throws JobError `STORAGE_UNAVAILABLE` */
  stat(ref: ObjectRef, signal: AbortSignal): Promise<ObjectInfo | undefined>;
  /**
   * Creates an object, in one request, only if none is there: of many callers at once exactly one is told `created`.
   * After a lost answer the retry may say `exists` although the object is the caller's own: compare what it tells.
   * @throws JobError `STORAGE_UNAVAILABLE`
   */
  create(
    ref: ObjectRef,
    bytes: Buffer,
    options: {
      readonly contentType: string;
      readonly metadata?: Readonly<Record<string, string>>;
      readonly signal: AbortSignal;
    },
  ): Promise<CreateResult>;
  /**
   * Finds out whether the worker may read or create the named object, whether or not it is there. Leaves nothing behind.
   * @throws JobError `STORAGE_UNAVAILABLE` when it may not, or storage cannot be reached
   */
  checkAccess(ref: ObjectRef, access: BucketAccess, signal: AbortSignal): Promise<void>;
}

// ── Triton ────────────────────────────────────────────────────────────────────

export interface InferenceRequest {
  readonly model: string;
  readonly version: string;
  readonly inputs: readonly Tensor[];
  /** Name of the one output that is wanted: `image` or `mask`. */
  readonly output: string;
  readonly priority: Priority;
  readonly parameters: Readonly<Record<string, ParameterValue>>;
  /**
   * How many times the request is in its own batch; 1 unless given, and always for a model without batches. One that has
   * as many as a batch takes shares it with no other.
   */
  readonly copies?: number;
}

export interface InferenceResult {
  /** The version that answered, in the server's own word. */
  readonly version: string;
  readonly output: Tensor;
}

/** What a server has counted for one version since it was loaded. */
export interface VersionStatistics {
  readonly version: string;
  /** Requests answered. */
  readonly requests: number;
  /** Runs of the model, by the size of their batch. */
  readonly batches: readonly {
    readonly batchSize: number;
    readonly executions: number;
    /** Time that one such run keeps an instance busy, on average. */
    readonly meanMs: number;
  }[];
}

export interface ModelServer {
  /** Contracts of all models that are ready, by name, as last read; kept fresh by the adapter. */
  contracts(): ReadonlyMap<string, ModelContract>;
  /**
   * Reads the contracts again now: before a job is told that its model does not exist.
   * @param about what it is done for: the server may know a name that is in none of its lists
   */
  refresh(signal: AbortSignal, about?: { readonly model: string; readonly version?: string }): Promise<void>;
  /**
   * Models that cannot serve now, with the reason: loading, reloading, failed, with a contract that cannot be used, or
   * served before and no longer. And such versions of models that serve in others, as `<model>/<version>`; those that
   * were served before only if `refresh` was asked about them.
   */
  unready(): ReadonlyMap<string, string>;
  /**
   * What the server has counted for a model, by version.
   * @throws JobError `MODEL_UNAVAILABLE`
   */
  statistics(model: string, signal: AbortSignal): Promise<readonly VersionStatistics[]>;
  /**
   * One inference, one element of a batch or several copies of it. Makes a single attempt: the caller owns the retry.
   * @throws JobError `MODEL_UNAVAILABLE`, `MODEL_OVERLOADED`, `INFERENCE_FAILED`, `MODEL_REJECTED_INPUT`,
   * `MODEL_OUTPUT_INVALID`
   */
  infer(request: InferenceRequest, signal: AbortSignal): Promise<InferenceResult>;
}

// ── Pub/Sub ───────────────────────────────────────────────────────────────────

export interface Delivery {
  readonly messageId: string;
  readonly data: Buffer;
  readonly attributes: Readonly<Record<string, string>>;
  /** 1 for the first; 0 when the subscription has no dead-letter policy and so does not count. */
  readonly attempt: number;
  readonly publishedAt: Date;
  /** Messages of one key are delivered in the order in which they were published; absent for most. */
  readonly orderingKey?: string;
}

/** The handler's answer; nobody else acks. */
export type Settlement = 'ack' | 'nack';

export interface JobSource {
  /**
   * Begins to pull. `handle` is called for every delivery, many at once; its lease is extended until the promise
   * settles. A handler that throws nacks.
   */
  start(handle: (delivery: Delivery, signal: AbortSignal) => Promise<Settlement>): void;
  /**
   * Stops intake at once, gives back what no handler has begun, waits for the rest with their leases extended, and
   * settles within `capMs` whatever happens; handlers still running then are aborted and their messages nacked.
   */
  stop(capMs: number): Promise<void>;
  /** Settles when the source can no longer deliver, with the reason; the process should end. */
  readonly closed: Promise<Error>;
}

/** The service refuses this message, or one that was sent together with it; others it takes. */
export class NotPublishable extends Error {
  override readonly name = 'NotPublishable';
}

export interface Publisher {
  /**
   * Resolves when the service has accepted the message.
   * @throws Error within the publisher's own time limit; NotPublishable when the message is wrong in itself, or was sent together with one that is
   */
  publish(data: Buffer, attributes: Readonly<Record<string, string>>, orderingKey?: string): Promise<void>;
}
