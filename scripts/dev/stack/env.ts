import { join } from 'node:path';
import { POOL_THREADS } from '../../../src/scheduling/codecs.js';
import { root } from './paths.js';
import type { Ports } from './ports.js';

/** Opens the restricted protocols of every local Triton. They listen on this machine only. */
export const LOCAL_ADMIN_KEY = 'imagen-local';

export function stackEnv(ports: Ports) {
  return {
    GOOGLE_CLOUD_PROJECT: 'imagen-local',
    PUBSUB_EMULATOR_HOST: `127.0.0.1:${ports.pubsub}`,
    STORAGE_EMULATOR_HOST: `http://127.0.0.1:${ports.gcs}`,
    TRITON_URL: `127.0.0.1:${ports.tritonGrpc}`,
    TRITON_ADMIN_KEY: LOCAL_ADMIN_KEY,
    IMAGEN_JOBS_TOPIC: 'imagen-jobs',
    IMAGEN_JOBS_SUBSCRIPTIONS: 'imagen-jobs-worker',
    IMAGEN_COMPLETIONS_TOPIC: 'imagen-completions',
    IMAGEN_DEAD_LETTER_TOPIC: 'imagen-dead-letters',
    IMAGEN_DEAD_LETTER_SUBSCRIPTION: 'imagen-dead-letters-review',
    IMAGEN_OUTPUT_PREFIX: 'gs://imagen-results/',
    IMAGEN_STATE_PREFIX: 'gs://imagen-state/records/',
    IMAGEN_UPLOAD_PREFIX: 'gs://imagen-uploads/incoming/',
    IMAGEN_ALLOWED_INPUTS: 'gs://imagen-uploads/',
    IMAGEN_ALLOWED_OUTPUTS: 'gs://imagen-results/',
    IMAGEN_ROUTES_FILE: join(root, 'scripts/dev/stack/routes.json'),
    IMAGEN_MAX_ATTEMPTS: '5',
    IMAGEN_DRAIN_SECONDS: '25',
    UV_THREADPOOL_SIZE: String(POOL_THREADS),
    PORT: String(ports.worker),
  } as const;
}

export type StackEnv = Readonly<Record<keyof ReturnType<typeof stackEnv>, string>>;

/** Lines for a shell. With them `imagen` is a command of that shell: whoever kills the process kills imagen itself, not npx. */
export function exportLines(env: StackEnv): string {
  const variables = Object.entries(env)
    .map(
      ([name, value]) =>
        `export ${name}=${/^[\w./:@-]*$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`}\n`,
    )
    .join('');
  return `${variables}export PATH='${join(root, 'bin').replaceAll("'", `'\\''`)}':"$PATH"\n`;
}
