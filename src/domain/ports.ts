/**
 * The four ports that cross the network. Adapters implement them, and all other code depends only on them.
 * Every call takes a signal and settles soon after it fires. All calls may run concurrently.
 */
import type { ModelContract } from './contract.js';
import type { BucketAccess, JobError } from './errors.js';
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

/** Result of a read. A missing object is a result, not an exception. */
export type ReadResult =
  | {
      readonly kind: 'found';
      /** The content, inflated if the object is stored with `Content-Encoding: gzip`. */
      readonly bytes: Buffer;
      readonly generation: string;
      /** Another encoding that the object declares, such as `br`. The bytes are then as stored. */
      readonly contentEncoding?: string;
    }
  | { readonly kind: 'missing' }
  /**
   * `bytes` is the size of the object. If the size is unknown, or if compressed bytes inflate to more than permitted, it is
   * the number of bytes received before the read stopped.
   */
  | { readonly kind: 'too-large'; readonly bytes: number }
  /** The stored object is corrupt: its checksum is right, but it does not inflate. */
  | { readonly kind: 'corrupt'; readonly reason: string }
  /** The object needs what this service never has: a customer-supplied key, or a project that pays for the request. */
  | { readonly kind: 'refused'; readonly reason: string };

export type CreateResult =
  | { readonly kind: 'created'; readonly info: ObjectInfo }
  | { readonly kind: 'exists'; readonly info: ObjectInfo; readonly sameBytes: boolean };

/** An object as a list shows it. */
export interface ListedObject {
  /** Whole name in the bucket. */
  readonly name: string;
  readonly createdAt: Date;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface ListPage {
  /** In the order of their names' bytes. */
  readonly objects: readonly ListedObject[];
  /** Names up to the next `/` after the prefix, with it, of objects that are deeper. */
  readonly folders: readonly string[];
  /** Token of the next page, if there is one. */
  readonly next?: string;
}

/** Each call makes a single attempt within the adapter's own time limit. The caller decides about retries. */
export interface ObjectStore {
  /**
   * Reads the given generation of a whole object, or the current one. It stops as soon as the object is known to exceed
   * `maxBytes`.
   * @throws JobError `STORAGE_UNAVAILABLE` when storage cannot be reached or denies access
   */
  read(
    ref: ObjectRef & { readonly generation?: string },
    options: { readonly maxBytes: number; readonly signal: AbortSignal },
  ): Promise<ReadResult>;
  /** @returns undefined when there is no such object. @throws JobError `STORAGE_UNAVAILABLE` */
  stat(ref: ObjectRef, signal: AbortSignal): Promise<ObjectInfo | undefined>;
  /**
   * Creates an object in one request, only if none exists. Of many concurrent callers, exactly one gets `created`.
   * If an answer was lost, the retry may return `exists` for the caller's own object. Compare the returned `info`.
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
   * Lists one page of at most 1,000 names that begin with `prefix.name`. A list shows every object that was created before
   * the call.
   * @param options `from`: only names that are not before this one; `page`: the token of the page before
   * @throws JobError `STORAGE_UNAVAILABLE`
   */
  list(
    prefix: ObjectRef,
    options: { readonly from?: string | undefined; readonly page?: string | undefined; readonly signal: AbortSignal },
  ): Promise<ListPage>;
  /**
   * Checks whether the worker may read or create the named object, even if it does not exist. It writes nothing.
   * @throws JobError `STORAGE_UNAVAILABLE` when access is denied, or storage cannot be reached
   */
  checkAccess(ref: ObjectRef, access: BucketAccess, signal: AbortSignal): Promise<void>;
}

// ── Routes ────────────────────────────────────────────────────────────────────

/** What reading the routes document has given. */
export type RoutesRead =
  | { readonly kind: 'found'; readonly text: string; readonly generation: string }
  /** The document still has the generation that the caller knows. */
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'missing' }
  /** It is there, but it cannot be read as a text. */
  | { readonly kind: 'unusable'; readonly reason: string };

/** The place of the routes document: a file, or an object in Cloud Storage. */
export interface RoutesSource {
  /** As the setting names it. */
  readonly place: string;
  /**
   * Reads the document.
   * @param known the generation that the caller has; the answer is `unchanged` if it is still that one
   * @throws JobError `STORAGE_UNAVAILABLE`
   */
  read(signal: AbortSignal, known?: string): Promise<RoutesRead>;
}

export interface RoutesText {
  readonly text: string;
  /** Changes with each write. */
  readonly generation: string;
}

/** A routes document that can be edited, with the history of what it said before. */
export interface RoutesStore extends RoutesSource {
  /**
   * Keeps the former document in the history, create-only, and then writes the new one in its place, if it is still the
   * former one. Of many concurrent callers with the same former document, at most one gets `written`.
   * @param former undefined if there is to be none yet
   * @throws JobError `STORAGE_UNAVAILABLE`, after which the new document may have been written or not; errors of the file
   *   system
   */
  write(
    text: string,
    former: RoutesText | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly kind: 'written'; readonly generation: string } | { readonly kind: 'changed' }>;
  /**
   * Ids of the former documents, the newest first.
   * @param current generation of the document, which may be in the history already if a writer was killed
   * @throws JobError `STORAGE_UNAVAILABLE`
   */
  history(current: string | undefined, signal: AbortSignal): Promise<readonly string[]>;
  /** Text of a former document; undefined if there is none of this id. @throws JobError `STORAGE_UNAVAILABLE` */
  former(id: string, signal: AbortSignal): Promise<string | undefined>;
}

// ── Triton ────────────────────────────────────────────────────────────────────

export interface InferenceRequest {
  readonly model: string;
  readonly version: string;
  readonly inputs: readonly Tensor[];
  /** Name of the requested output: `image` or `mask`. */
  readonly output: string;
  readonly priority: Priority;
  readonly parameters: Readonly<Record<string, ParameterValue>>;
  /**
   * Copies of the request in its batch. The default is 1, and a model without batching always gets 1. A request with as
   * many copies as a batch holds shares it with no other.
   */
  readonly copies?: number;
}

export interface InferenceResult {
  /** The version that answered, as the server names it. */
  readonly version: string;
  readonly output: Tensor;
}

/** Statistics of one version since the server loaded it. */
export interface VersionStatistics {
  readonly version: string;
  /** Number of answered requests. */
  readonly requests: number;
  /** Executions of the model, by batch size. */
  readonly batches: readonly {
    readonly batchSize: number;
    readonly executions: number;
    /** Mean time for which one such execution keeps an instance busy, in milliseconds. */
    readonly meanMs: number;
  }[];
}

export interface ModelServer {
  /** Contracts of all ready models, by name, as last read. The adapter keeps them fresh. */
  contracts(): ReadonlyMap<string, ModelContract>;
  /**
   * Reads the contracts again now. Callers use it before they report a model as unknown.
   * @param about the model to look for, because the server may know a name that is in none of its lists
   */
  refresh(signal: AbortSignal, about?: { readonly model: string; readonly version?: string }): Promise<void>;
  /**
   * Reads the contract of one version at every replica of the server now. It changes nothing that `contracts` returns.
   * @returns at least one; undefined for a replica that cannot serve the version
   * @throws JobError `MODEL_UNAVAILABLE`
   */
  contractsNow(
    name: { readonly model: string; readonly version: string },
    signal: AbortSignal,
  ): Promise<readonly (ModelContract | undefined)[]>;
  /**
   * Models that cannot serve now, with the reason: loading, reloading, failed, an unusable contract, or no longer served.
   * If a model serves other versions, it lists the unready version as `<model>/<version>`. It lists a version that is no
   * longer served only if `refresh` was called for it.
   */
  unready(): ReadonlyMap<string, string>;
  /**
   * The server's statistics of a model, by version.
   * @throws JobError `MODEL_UNAVAILABLE`
   */
  statistics(model: string, signal: AbortSignal): Promise<readonly VersionStatistics[]>;
  /**
   * Asks every replica with a blank picture whether a model still answers. A replica that needs longer than 5 s counts as
   * busy, and has no fault.
   * @param since when the caller's request may have been sent, by `performance.now()`: the error costs an attempt if the
   *   model's process has ended since then
   * @returns the fault of a replica, as an error that puts the job off; undefined also if the signal fires before one is found
   * @throws JobError `MODEL_UNAVAILABLE` if the connection is closed
   */
  faultOf(
    name: { readonly model: string; readonly version?: string },
    since: number,
    signal: AbortSignal,
  ): Promise<JobError | undefined>;
  /**
   * Runs one inference: one element of a batch, or several copies of it. It makes a single attempt; the caller retries.
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
  /** 1 for the first delivery. 0 if the subscription has no dead-letter policy and so does not count deliveries. */
  readonly attempt: number;
  readonly publishedAt: Date;
  /** Pub/Sub delivers messages with the same key in the order of publishing. Most messages have no key. */
  readonly orderingKey?: string;
}

/** The handler's answer. Only the source acks, and it acts on this answer. */
export type Settlement = 'ack' | 'nack';

export interface JobSource {
  /**
   * Starts to pull. It calls `handle` for every delivery, many concurrently, and extends the lease until the promise
   * settles. If the handler throws, the source nacks the message.
   */
  start(handle: (delivery: Delivery, signal: AbortSignal) => Promise<Settlement>): void;
  /**
   * Stops the intake at once and nacks messages that no handler has started. It waits for the other handlers and extends
   * their leases. It always settles within `capMs`: it then aborts running handlers and nacks their messages.
   */
  stop(capMs: number): Promise<void>;
  /** Resolves with the reason when the source can no longer deliver. The process should exit then. */
  readonly closed: Promise<Error>;
}

/** The service rejects this message. It accepts other messages. */
export class NotPublishable extends Error {
  override readonly name = 'NotPublishable';
}

export interface Publisher {
  /**
   * Resolves when the service has accepted the message.
   * @throws Error within the publisher's own time limit; NotPublishable when the message itself is invalid
   */
  publish(data: Buffer, attributes: Readonly<Record<string, string>>, orderingKey?: string): Promise<void>;
}
