/** Refuses routes to versions that Triton does not serve. */
import type { ModelServer } from '../../domain/ports.js';
import { CommandFailed } from '../usage.js';

/** Time limit for asking all replicas about one version, in milliseconds. */
const LIMIT_MS = 10_000;

export interface ModelVersion {
  readonly model: string;
  readonly version: string;
}

/** How many replicas must serve a version. */
export type Demand = 'one replica' | 'every replica';

/** @throws CommandFailed that names each version that is not served, or if Triton does not answer */
export async function demandServed(
  triton: Pick<ModelServer, 'contractsNow'>,
  url: string,
  versions: readonly ModelVersion[],
  demand: Demand,
): Promise<void> {
  const missing: string[] = [];
  for (const one of versions) {
    const contracts = await ask(triton, url, one);
    const serving = contracts.filter((contract) => contract?.versions.has(one.version)).length;
    const enough = demand === 'one replica' ? serving > 0 : serving === contracts.length;
    if (!enough) missing.push(`${one.model}/${one.version} (${serving} of ${contracts.length} replicas serve it)`);
  }
  if (missing.length === 0) return;
  throw new CommandFailed(
    `Triton at ${url} does not serve ${missing.join(', ')}: load it first, or write the routes with --force`,
  );
}

async function ask(triton: Pick<ModelServer, 'contractsNow'>, url: string, one: ModelVersion) {
  const signal = AbortSignal.timeout(LIMIT_MS);
  try {
    return await triton.contractsNow(one, signal);
  } catch (thrown) {
    const reason = signal.aborted ? `no answer within ${LIMIT_MS / 1_000} s` : (thrown as Error).message;
    throw new CommandFailed(
      `Triton at ${url} does not say whether it serves ${one.model}/${one.version} (${reason}): start it, mend TRITON_URL, or write the routes with --force`,
    );
  }
}
