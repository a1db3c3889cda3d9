import { readFileSync } from 'node:fs';
import { type Config, readConfig } from '../../config/index.js';
import { UsageError } from '../usage.js';

/**
 * The key of Triton's restricted protocols, from TRITON_ADMIN_KEY or the file of TRITON_ADMIN_KEY_FILE.
 * @throws ConfigError if both are set; UsageError if there is none
 */
export function adminKeyOf(env: NodeJS.ProcessEnv): string {
  const key = givenAdminKey(readConfig(env, ['tritonAdminKey', 'tritonAdminKeyFile']));
  if (key !== undefined) return key;
  throw new UsageError('TRITON_ADMIN_KEY is not set. Expected the key that Triton was started with (docs/images.md).');
}

/** @returns undefined if neither variable is set. @throws UsageError for a file that cannot be read, or has no key */
export function givenAdminKey({
  tritonAdminKey,
  tritonAdminKeyFile: file,
}: Partial<Pick<Config, 'tritonAdminKey' | 'tritonAdminKeyFile'>>): string | undefined {
  return file === undefined ? tritonAdminKey : readKey(file);
}

function readKey(file: string): string {
  let key: string;
  try {
    key = readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new UsageError(`TRITON_ADMIN_KEY_FILE: expected a file that can be read: ${(error as Error).message}`);
  }
  if (/^[A-Za-z0-9._~-]+$/.test(key)) return key;
  throw new UsageError(`TRITON_ADMIN_KEY_FILE: expected letters, digits and . _ ~ - alone in ${file}`);
}
