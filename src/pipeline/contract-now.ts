import { isDeepStrictEqual } from 'node:util';
import type { ModelContract, VersionContract } from '../domain/contract.js';
import { type ErrorCode, JobError } from '../domain/errors.js';
import type { ModelServer } from '../domain/ports.js';
import type { Routed } from './routed.js';

/** Errors that depend on what a contract promises. With another contract the same job may succeed. */
const BY_CONTRACT: ReadonlySet<ErrorCode> = new Set([
  'INVALID_PARAMETERS',
  'OUTPUT_TOO_LARGE',
  'INFERENCE_FAILED',
  'MODEL_REJECTED_INPUT',
  'MODEL_OUTPUT_INVALID',
]);

/**
 * Reads the contracts again before an error that depends on them ends the job. A model may have been loaded again with
 * another contract after the job was routed, perhaps at one replica only. The job is not at fault then: it is deferred and
 * routed again.
 * @param routed the versions on which the error depends
 * @returns the given error if all replicas keep to the contracts by which the job was routed, otherwise `MODEL_UNAVAILABLE`
 * @throws JobError `MODEL_UNAVAILABLE` when the server does not return the current contracts
 */
export async function byContractNow(
  error: unknown,
  routed: readonly Routed[],
  models: ModelServer,
  signal: AbortSignal,
): Promise<unknown> {
  if (!(error instanceof JobError) || !BY_CONTRACT.has(error.code) || signal.aborted) return error;
  for (const one of routed) {
    const name = { model: one.operation.model, version: one.version };
    const contracts = await models.contractsNow(name, signal);
    if (contracts.every((contract) => isAsRouted(contract, one))) continue;
    await models.refresh(signal, name); // the next attempt is routed by the new contract
    const message = `model ${name.model}, version ${name.version}: its contract has changed: ${error.message}`;
    return new JobError('MODEL_UNAVAILABLE', message, { cause: error, needs: { kind: 'model', name: name.model } });
  }
  return error;
}

function isAsRouted(now: ModelContract | undefined, { model, version, contract }: Routed): boolean {
  return now !== undefined && isDeepStrictEqual(promises(now, now.versions.get(version)), promises(model, contract));
}

/** What a job relies on. Replicas may differ in how many requests they take at once. */
function promises({ output, takesOrigin, maxBatchSize }: ModelContract, version: VersionContract | undefined) {
  return { output, takesOrigin, maxBatchSize, version };
}
