import { type BucketNeed, JobError } from '../../domain/errors.js';
import { folderOf } from '../../records/list.js';
import { probeIn } from '../../scheduling/buckets.js';
import { configuredPrefixes, needLabel, pathOf } from '../../scheduling/needs.js';
import { check, fault, ok, type Result, skipped, warning } from './check.js';
import * as credentials from './credentials.js';
import { reachable } from './storage.js';

/** The rights of a worker (docs/google-cloud.md), that to list records, and that of publishers to upload. */
export const rights = check({
  name: 'storage.rights',
  reads: ['storageEmulator', 'statePrefix', 'outputPrefix', 'shadowPrefix', 'allowedInputs', 'allowedOutputs'],
  needs: [reachable.name, credentials.storage.name],
  async run(config, deployment, signal) {
    const store = deployment.store(config);
    const { uploadPrefix: uploads } = deployment;
    const records = folderOf(config.statePrefix);
    /** `storage.bucket` says whether these exist. */
    const planned = new Set(
      [config.statePrefix, config.outputPrefix, config.shadowPrefix, uploads].flatMap((prefix) =>
        prefix === undefined ? [] : [folderOf(prefix).bucket],
      ),
    );
    const mayUse = (need: BucketNeed) =>
      tryTo(`${need.access} gs://${pathOf(need)}`, need.name, planned, () =>
        store.checkAccess(probeIn(need), need.access, signal),
      );
    const needs = new Map(configuredPrefixes(config).map((need) => [needLabel(need), need]));
    return Promise.all([
      ...[...needs.values()].map(mayUse),
      tryTo(`list gs://${records.bucket}`, records.bucket, planned, () => store.list(records, { signal })),
      ...(config.shadowPrefix === undefined ? [] : [mayUse(needAt(config.shadowPrefix))]),
      ...(uploads === undefined ? [] : [mayUse(needAt(uploads)).then(ofPublishers)]),
    ]);
  },
});

function needAt(prefix: string): BucketNeed {
  const { bucket, name } = folderOf(prefix);
  const need = { kind: 'bucket', name: bucket, access: 'create' } as const;
  return name === '' ? need : { ...need, folder: name.slice(0, -1) };
}

/** Only publishers upload, so a worker's identity need not have this right. */
function ofPublishers(result: Result): Result {
  return result.verdict === 'fault' ? warning(`${result.message}; only \`imagen submit\` does`, result.cure) : result;
}

/** @param planned buckets that `storage.bucket` reports if they are missing */
async function tryTo(
  what: string,
  bucket: string,
  planned: ReadonlySet<string>,
  attempt: () => Promise<unknown>,
): Promise<Result> {
  try {
    await attempt();
    return ok(what);
  } catch (thrown) {
    if (!(thrown instanceof JobError) || thrown.code !== 'STORAGE_UNAVAILABLE') throw thrown;
    if (!thrown.message.includes('there is no bucket')) {
      return fault(
        `these credentials cannot ${what}: ${thrown.message}`,
        'grant the right, as scripts/release/gcp/setup.sh does (docs/google-cloud.md)',
      );
    }
    if (planned.has(bucket)) return skipped(`${what}: there is no bucket ${bucket}`);
    return fault(
      `cannot ${what}: there is no bucket ${bucket}`,
      'create it, or mend IMAGEN_ALLOWED_INPUTS or IMAGEN_ALLOWED_OUTPUTS',
    );
  }
}
