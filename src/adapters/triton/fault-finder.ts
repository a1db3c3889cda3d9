/**
 * Finds out with a blank picture whether a model still answers at every replica.
 *
 * Triton takes a second to say that a model's process has ended. A job with a shorter time limit ends before that, and so do
 * all jobs behind it, so nobody would ever notice.
 */
import { status } from '@grpc/grpc-js';
import { type ModelContract, smallestRequest } from '../../domain/contract.js';
import { JobError } from '../../domain/errors.js';
import type { InferenceRequest } from '../../domain/ports.js';
import { createTensor, originTensor } from '../../domain/tensor.js';
import type { CallOptions, Channel } from './channel.js';
import { encodeRequest } from './codec.js';
import { faultOf, isCallFailure } from './errors.js';
import { atEveryReplica } from './everywhere.js';
import type { KnownFault, Replicas } from './replicas.js';

/** A replica that has not answered anything for this long is gone, in milliseconds. The contracts are read more often. */
const HEARD_WITHIN_MS = 60_000;
/**
 * Time limit of one blank picture, in milliseconds. Triton needs a second to say that the process has ended, for each batch
 * that waits before this request.
 */
const BLANK_TIMEOUT_MS = 5_000;

export class FaultFinder {
  /** By model and version. */
  readonly #asking = new Map<string, Promise<void>>();

  /** @param closing ends what is being asked */
  constructor(
    private readonly channel: Channel,
    private readonly replicas: Replicas,
    private readonly closing: AbortSignal,
  ) {}

  /**
   * Callers at the same time share the requests.
   * @param version all of the model's if undefined
   * @param since when the caller's request may have been sent, by `performance.now()`
   * @returns the fault of a replica; undefined also if the signal fires before one is found
   * @throws JobError `MODEL_UNAVAILABLE` if the connection is closed
   */
  async of(
    contract: ModelContract | undefined,
    version: string | undefined,
    since: number,
    signal: AbortSignal,
  ): Promise<JobError | undefined> {
    if (!contract) return undefined;
    const { model } = contract;
    for (const one of version === undefined ? contract.versions.keys() : [version]) {
      if (signal.aborted) return undefined;
      const known = this.replicas.faultSince(model, one, since);
      if (!known && !this.#answeredEverywhere(model, one, since)) await this.#ask(contract, one);
      const found = known ?? this.replicas.faultSince(model, one, since);
      if (found) return outageOf(model, one, found, since);
    }
    return undefined;
  }

  /** Whether no replica needs to be asked, because each has answered a request for the version. */
  #answeredEverywhere(model: string, version: string, since: number): boolean {
    const replicas = this.channel.heardOf(performance.now() - HEARD_WITHIN_MS);
    return replicas.length > 0 && replicas.every((one) => this.replicas.answeredSince(model, version, one, since));
  }

  #ask(contract: ModelContract, version: string): Promise<void> {
    const key = `${contract.model}/${version}`;
    const asking = this.#asking.get(key) ?? this.#askAll(contract, version).finally(() => this.#asking.delete(key));
    this.#asking.set(key, asking);
    return asking;
  }

  /**
   * Notes the faults that a blank picture meets. A replica that does not answer in time may be busy: nothing is known of it,
   * nor of those that would come after it.
   */
  async #askAll(contract: ModelContract, version: string): Promise<void> {
    const { model, maxBatchSize } = contract;
    const request = encodeRequest(blankRequest(contract, version), maxBatchSize > 0);
    const failureOf = async (how: CallOptions) => {
      const sentAt = performance.now();
      try {
        await this.channel.call('ModelInfer', request, how);
        return undefined;
      } catch (error) {
        if (!isCallFailure(error)) throw error;
        return { error, sentAt };
      }
    };
    const options = { signal: this.closing, deadlineMs: BLANK_TIMEOUT_MS };
    for await (const { replica, answer } of atEveryReplica(options, failureOf)) {
      if (answer?.error.code === status.DEADLINE_EXCEEDED) return;
      const fault = faultOf(answer?.error);
      if (answer && fault && replica !== '') this.replicas.failed(model, version, replica, fault, answer.sentAt);
    }
  }
}

function outageOf(
  model: string,
  version: string,
  { replica, fault, since: from }: KnownFault,
  since: number,
): JobError {
  return new JobError(
    'MODEL_UNAVAILABLE',
    `model ${model}, version ${version} at ${replica} did not answer: ${fault}`,
    {
      needs: { kind: 'model', name: model, version },
      costsAttempt: fault === 'process' && from >= since,
    },
  );
}

/** The smallest black picture that the contract permits, without parameters. */
function blankRequest(contract: ModelContract, version: string): InferenceRequest {
  const { width, height } = smallestRequest(contract, version);
  const image = createTensor('image', 'UINT8', [height, width, 3], Buffer.alloc(width * height * 3));
  return {
    ...{ model: contract.model, version, output: contract.output, priority: 'interactive', parameters: {} },
    inputs: contract.takesOrigin ? [image, originTensor(0, 0, width, height)] : [image],
  };
}
