/** Cloud Storage: whether it answers, its buckets, and the rights of a worker in them. */
import { planBucket, type WantedBucket } from '../../adapters/gcs/admin.js';
import { type AdminApi, connectAdmin, statusOf } from '../../adapters/gcs/admin-api.js';
import { Unanswered } from '../../adapters/gcs/call.js';
import { StepFailed } from '../../adapters/setup-step.js';
import { parsePrefix } from '../../domain/uri.js';
import { wantedBuckets } from '../setup/wanted.js';
import { UsageError } from '../usage.js';
import { check, fault, ok, type Result, skipped, warning } from './check.js';
import * as credentials from './credentials.js';

export const reachable = check({
  name: 'storage.reachable',
  reads: ['projectId', 'storageEmulator'],
  async run(config, deployment) {
    const { storageEmulator: emulator } = config;
    const where = emulator === undefined ? 'Cloud Storage' : `the Cloud Storage emulator at ${emulator}`;
    const cure =
      emulator === undefined
        ? 'permit this machine to reach storage.googleapis.com on port 443'
        : 'start the emulator, or mend STORAGE_EMULATOR_HOST';
    try {
      const { status } = await deployment.greeting(config);
      if (status === 404 || status >= 500) {
        return [fault(`${where} gives no answer of Cloud Storage: HTTP status ${status}`, cure)];
      }
      return [ok(where)];
    } catch (thrown) {
      if (!(thrown instanceof Unanswered)) throw thrown;
      return [fault(`${where} does not answer: ${thrown.message}`, cure)];
    }
  },
});

export const buckets = check({
  name: 'storage.bucket',
  reads: ['projectId', 'storageEmulator', 'outputPrefix', 'statePrefix', 'shadowPrefix', 'maxDeferredSeconds'],
  needs: [reachable.name, credentials.storage.name],
  async run(config, deployment) {
    const { uploadPrefix: uploads } = deployment;
    const api = connectAdmin({ projectId: config.projectId, emulator: config.storageEmulator });
    const variables = {
      IMAGEN_STATE_PREFIX: config.statePrefix,
      IMAGEN_OUTPUT_PREFIX: config.outputPrefix,
      ...(uploads === undefined ? {} : { IMAGEN_UPLOAD_PREFIX: uploads }),
      ...(config.shadowPrefix === undefined ? {} : { IMAGEN_SHADOW_PREFIX: config.shadowPrefix }),
    };
    const left =
      uploads === undefined ? [skipped('uploads: IMAGEN_UPLOAD_PREFIX says no place; workers do not need it')] : [];
    try {
      const wanted = wantedBuckets({ ...config, uploadPrefix: uploads }, {});
      const looks = wanted.map((bucket) => lookAt(api, bucket, variablesOf(bucket, variables)));
      return [...(await Promise.all(looks)).flat(), ...left];
    } catch (thrown) {
      if (!(thrown instanceof UsageError)) throw thrown;
      const problems = thrown.message.replaceAll('\nimagen: ', '; ');
      return [fault(problems, 'choose prefixes that do not lie in each other (docs/google-cloud.md)')];
    }
  },
});

function variablesOf({ name }: WantedBucket, prefixes: Readonly<Record<string, string>>): string {
  return Object.entries(prefixes)
    .filter(([, prefix]) => {
      const place = parsePrefix(prefix);
      return typeof place !== 'string' && place.bucket === name;
    })
    .map(([variable]) => variable)
    .join(', ');
}

/** Compares a bucket with what `imagen setup` wants of it. */
export async function lookAt(api: AdminApi, wanted: WantedBucket, variables: string): Promise<readonly Result[]> {
  const { name } = wanted;
  try {
    const { todo, details, warnings } = await planBucket(api, wanted);
    if (todo === 'create') {
      return [fault(`there is no bucket ${name}`, `create it with \`imagen setup\`, or mend ${variables}`)];
    }
    if (details.length === 0 && warnings.length === 0) return [ok(`${name} (${variables})`)];
    const differs =
      details.length === 0
        ? []
        : [
            warning(
              `bucket ${name} is not as \`imagen setup\` makes it by default: ${details.join('; ')}`,
              'unless that is on purpose, mend it with `imagen setup`; its options keep access and lifetimes of your own',
            ),
          ];
    return [
      ...differs,
      ...warnings.map((text) => warning(text, 'take the rule away, or let it leave that folder out')),
    ];
  } catch (thrown) {
    if (!(thrown instanceof StepFailed) || statusOf(thrown.cause) !== 403) throw thrown;
    return [
      skipped(`these credentials may not look at the settings of bucket ${name}; those that run \`imagen setup\` may`),
    ];
  }
}
