/** Triton as the domain's ModelServer: contracts that it refreshes by itself, and inference. */
import { status } from '@grpc/grpc-js';
import type { ModelContract } from '../../domain/contract.js';
import { JobError } from '../../domain/errors.js';
import type { InferenceRequest, InferenceResult, ModelServer, VersionStatistics } from '../../domain/ports.js';
import { addAttributes } from '../../tracing/spans.js';
import { onAbort } from '../abort.js';
import { readAbout, type ServerAbout } from './about.js';
import { Channel } from './channel.js';
import { decodeResponse, encodeRequest, promisedShape } from './codec.js';
import { readCatalogue, type Catalogue } from './contracts.js';
import { readEverywhere } from './everywhere.js';
import { faultOf, isCallFailure, isNotReady, toJobError, toReadError } from './errors.js';
import { FaultFinder } from './fault-finder.js';
import { type ModelName, Remembered } from './remembered.js';
import { Replicas, type SickReplica } from './replicas.js';
import { openTransport, type TransportName } from './open-transport.js';
import { RepeatedRead } from './repeated-read.js';
import { trySharing } from './shm.js';
import { readStatistics } from './statistics.js';
import type { Carrier, InferTransport } from './transport.js';
import { unansweredBy } from './unanswered.js';

export interface TritonOptions {
  /** gRPC address: `host:port`, or with a scheme (`dns:///triton-headless:8001`). */
  readonly url: string;
  readonly transport?: TransportName;
  /** Headers sent with every call: the keys of protocols that the server restricts. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Time limit for one inference, queue included, in milliseconds. */
  readonly inferTimeoutMs?: number;
  /** Time limit for control calls, in milliseconds. If the read of the contracts exceeds it, the connection is replaced. */
  readonly controlTimeoutMs?: number;
  /** How often to read the contracts, in milliseconds. */
  readonly pollMs?: number;
  /** How long a model counts as away, and not as unknown, after the server stops serving it, in milliseconds. */
  readonly rememberMs?: number;
  /**
   * Called after each read of the contracts: with undefined if it succeeded. If it failed, the last contracts stay in use.
   */
  readonly onRead?: (error: unknown) => void;
  /** Called with the reason when `auto` finds that a server on this host shares no memory, so that tensors go in messages. */
  readonly onUnshared?: (reason: string) => void;
  /** Called after every attempt at an inference, except those that ended because their job ended. */
  readonly onAttempt?: (attempt: InferCall) => void;
}

export interface InferCall {
  readonly model: string;
  readonly version: string;
  /** Absent if nothing was sent. */
  readonly carrier: Carrier | undefined;
  readonly tookMs: number;
  /** Why it failed. */
  readonly error?: unknown;
}

const INFER_TIMEOUT_MS = 120_000;
const POLL_MS = 5_000;
const CONTROL_TIMEOUT_MS = 5_000;
const REMEMBER_MS = 86_400_000;

/**
 * Connects when the first call is made. Await `refresh` for the first contracts.
 *
 * If several replicas share one DNS name, unary inferences are spread over all of them. The catalogue comes from the replica
 * that answered last, so all replicas must serve the same repository. During a rolling change, a request may reach a replica
 * that does not have its version yet; that is MODEL_UNAVAILABLE and is retried. New addresses are found when a connection
 * ends, so set a maximum connection age in Triton.
 */
export function connectTriton(options: TritonOptions): Triton {
  return new Triton(options);
}

export class Triton implements ModelServer {
  readonly #channel: Channel;
  readonly #transport: InferTransport;
  readonly #options: TritonOptions;
  readonly #closing = new AbortController();
  readonly #replicas = new Replicas();
  readonly #faults: FaultFinder;
  readonly #remembered: Remembered;
  #catalogue: Catalogue = { contracts: new Map(), unready: new Map() };
  readonly #reading = new RepeatedRead(() => this.#read());
  #sharing = false;
  readonly #controlTimeoutMs: number;

  constructor(options: TritonOptions) {
    this.#options = options;
    this.#remembered = new Remembered(options.rememberMs ?? REMEMBER_MS);
    this.#controlTimeoutMs = options.controlTimeoutMs ?? CONTROL_TIMEOUT_MS;
    this.#channel = new Channel(options.url, options.headers);
    this.#faults = new FaultFinder(this.#channel, this.#replicas, this.#closing.signal);
    this.#transport = openTransport(options.transport ?? 'auto', this.#channel, options.onUnshared);
  }

  /** Reads the contracts now and then in the background, until `close`. Without it only `refresh` reads them. */
  start(): void {
    this.#reading.start(this.#options.pollMs ?? POLL_MS);
  }

  contracts(): ReadonlyMap<string, ModelContract> {
    return this.#catalogue.contracts;
  }

  unready(): ReadonlyMap<string, string> {
    return this.#catalogue.unready;
  }

  /** @throws JobError `MODEL_UNAVAILABLE` if the server does not answer; the last contracts stay in use */
  async refresh(signal: AbortSignal, about?: ModelName): Promise<void> {
    signal.throwIfAborted();
    if (about) this.#remembered.asked(about);
    let stopListening: (() => void) | undefined;
    const aborted = new Promise<never>((_, reject) => {
      stopListening = onAbort(signal, () => reject(signal.reason as Error));
    });
    try {
      await Promise.race([this.#reading.now(), aborted]);
    } catch (error) {
      throw toReadError(error, 'reading the models', { signal, ...(about ? { model: about.model } : {}) });
    } finally {
      stopListening?.();
    }
  }

  /** @throws JobError `MODEL_UNAVAILABLE` if a replica does not answer */
  async contractsNow(name: Required<ModelName>, signal: AbortSignal): Promise<readonly (ModelContract | undefined)[]> {
    try {
      return await readEverywhere(this.#channel, name, { signal, deadlineMs: this.#controlTimeoutMs });
    } catch (error) {
      throw toReadError(error, `reading the contracts of model ${name.model}`, { signal, model: name.model });
    }
  }

  faultOf(name: ModelName, since: number, signal: AbortSignal): Promise<JobError | undefined> {
    return this.#faults.of(this.contracts().get(name.model), name.version, since, signal);
  }

  async infer(request: InferenceRequest, signal: AbortSignal): Promise<InferenceResult> {
    signal.throwIfAborted();
    const { model, version } = request;
    const startedAt = performance.now();
    let carrier: Carrier | undefined;
    const ended = (failure: { readonly error?: unknown }) =>
      this.#options.onAttempt?.({ model, version, carrier, tookMs: performance.now() - startedAt, ...failure });
    try {
      const result = await this.#attempt(request, signal, (by) => {
        carrier = by;
        addAttributes(() => ({ 'imagen.transport': by }));
      });
      ended({});
      return result;
    } catch (error) {
      if (!signal.aborted) ended({ error });
      throw error;
    }
  }

  async #attempt(
    request: InferenceRequest,
    signal: AbortSignal,
    onSend: (carrier: Carrier) => void,
  ): Promise<InferenceResult> {
    const { model, version } = request;
    const contract = this.contracts().get(model);
    const versionContract = contract?.versions.get(version);
    if (!contract || !versionContract) {
      this.#reading.hurry();
      const unready = this.unready();
      const reason = unready.get(`${model}/${version}`) ?? unready.get(model) ?? 'the server does not have it';
      const needs = { kind: 'model', name: model, ...(contract ? { version } : {}) } as const;
      throw new JobError('MODEL_UNAVAILABLE', `model ${model}, version ${version}: ${reason}`, { needs });
    }
    const batched = contract.maxBatchSize > 0;
    const promised = promisedShape(request, versionContract);
    const sentAt = performance.now();
    let replica: string | undefined;
    try {
      const response = await this.#transport.infer(encodeRequest(request, batched), {
        signal,
        deadlineMs: this.#options.inferTimeoutMs ?? INFER_TIMEOUT_MS,
        outputBytes: promised.reduce((product, side) => product * side, batched ? (request.copies ?? 1) : 1),
        avoid: this.#replicas.toAvoid(model, version),
        onPeer: (peer) => (replica = peer),
        onSend,
      });
      if (replica !== undefined) this.#replicas.answered(model, version, replica, contract.instances);
      return decodeResponse(response, request, promised, batched);
    } catch (error) {
      const meaning = await this.#meaningOf(error, request, { replica, sentAt, signal });
      if (meaning instanceof JobError && meaning.code === 'MODEL_UNAVAILABLE') this.#reading.hurry();
      throw meaning;
    }
  }

  async #meaningOf(
    error: unknown,
    { model, version }: InferenceRequest,
    { replica, sentAt, signal }: { replica: string | undefined; sentAt: number; signal: AbortSignal },
  ): Promise<unknown> {
    const fault = signal.aborted ? undefined : faultOf(error);
    if (isNotReady(error)) this.#replicas.outOfUse(model, version, replica);
    const at = fault && replica !== undefined ? ` at ${replica}` : '';
    const costsAttempt =
      fault !== undefined && this.#replicas.failed(model, version, replica ?? 'unknown', fault, sentAt);
    const sent = { replica, sentAt, signal };
    const unanswered = fault === undefined ? await unansweredBy(this.#channel, error, sent) : undefined;
    // Another replica may do better, where the request was not the cause.
    if (unanswered === 'late') this.#replicas.failed(model, version, replica ?? 'unknown', 'hang', sentAt);
    const about = { signal, model, version, costsAttempt, unanswered };
    return toJobError(error, `model ${model}, version ${version}${at}`, about);
  }

  /** Replicas that answer, but fail at a model by a fault of their own. */
  sick(): readonly SickReplica[] {
    return this.#replicas.sick();
  }

  /**
   * Whether the server says that it can serve inferences; false if it does not answer. Under strict readiness (the server's
   * default) one model that failed to load makes it false for all. Use `contracts` to find out what can be served.
   */
  async ready(signal: AbortSignal): Promise<boolean> {
    try {
      return (await this.#channel.call('ServerReady', {}, { signal, deadlineMs: this.#controlTimeoutMs })).ready;
    } catch (error) {
      if (signal.aborted || !isCallFailure(error)) throw error;
      return false;
    }
  }

  /**
   * The server's counts for a model since it was loaded, by version. With several replicas, the counts are of one of them.
   * Empty if no version is ready.
   * @throws JobError `MODEL_UNAVAILABLE`
   */
  async statistics(model: string, signal: AbortSignal): Promise<readonly VersionStatistics[]> {
    try {
      return await readStatistics(this.#channel, model, { signal, deadlineMs: this.#controlTimeoutMs });
    } catch (error) {
      throw toReadError(error, `statistics of model ${model}`, { signal, model });
    }
  }

  /** What the server is, and where the named models run. @throws JobError `MODEL_UNAVAILABLE` */
  async about(models: readonly string[], signal: AbortSignal): Promise<ServerAbout> {
    try {
      return await readAbout(this.#channel, models, { signal, deadlineMs: this.#controlTimeoutMs });
    } catch (error) {
      throw toReadError(error, 'reading about the server', { signal });
    }
  }

  /** Fails requests in flight as unavailable, and releases what this connection holds on the server. */
  async close(): Promise<void> {
    this.#reading.stop();
    this.#closing.abort(new JobError('MODEL_UNAVAILABLE', 'the connection to Triton was closed'));
    this.#channel.cancelAll();
    await this.#transport.close();
    this.#channel.close();
  }

  async #read(): Promise<void> {
    const { signal } = this.#closing;
    try {
      const how = { signal, deadlineMs: this.#controlTimeoutMs };
      this.#catalogue = await readCatalogue(this.#channel, how, this.#remembered);
      this.#remembered.served(this.contracts());
      this.#noteOutOfUse();
      this.#options.onRead?.(await this.#demandSharing());
    } catch (error) {
      // There was no answer at all: the server hangs, or the connection is dead and TCP has not noticed. A new connection
      // fixes the second case and does no harm in the first.
      if (isCallFailure(error) && error.code === status.DEADLINE_EXCEEDED) this.#channel.reconnect();
      if (!signal.aborted) this.#options.onRead?.(toJobError(error, 'reading the models'));
      throw error;
    }
  }

  /**
   * Checks shared memory if the configuration demands it. If it does not work, no inference will, and an error at the start
   * is better than one at the first job.
   * @returns what is wrong
   */
  async #demandSharing(): Promise<JobError | undefined> {
    if (this.#options.transport !== 'shm' || this.#sharing) return undefined;
    const fault = await trySharing(this.#channel);
    this.#sharing = fault === undefined;
    return fault === undefined ? undefined : new JobError('MODEL_UNAVAILABLE', `IMAGEN_TRITON_TRANSPORT=shm: ${fault}`);
  }

  #noteOutOfUse(): void {
    for (const { model, version } of this.#replicas.sick()) {
      if (!this.contracts().get(model)?.versions.has(version)) this.#replicas.outOfUse(model, version);
    }
  }
}
