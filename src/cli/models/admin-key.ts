import { readFileSync } from 'node:fs';
import { readConfig } from '../../config/index.js';
import { UsageError } from '../usage.js';

/**
 * The key of Triton's restricted protocols, from TRITON_ADMIN_KEY or the file of TRITON_ADMIN_KEY_FILE.
 * @throws ConfigError if both are set; UsageError if there is none
 */
export function adminKeyOf(env: NodeJS.ProcessEnv): string {
  const { tritonAdminKey, tritonAdminKeyFile: file } = readConfig(env, ['tritonAdminKey', 'tritonAdminKeyFile']);
  const key = file === undefined ? tritonAdminKey : readKey(file);
  if (key !== undefined) return key;
  throw new UsageError('TRITON_ADMIN_KEY is not set. Expected the key that Triton was started with (docs/images.md).');
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
