import type { Storage } from '@google-cloud/storage';
import { within } from '../within.js';
import { httpStatus } from './errors.js';

/** Of one call, in milliseconds: making a bucket may take a while. */
const CALL_LIMIT_MS = 30_000;

/**
 * Creates a bucket unless it is there: no per-object rights, no public access.
 * @param location such as `EU` or `us-central1`; the service's default when absent
 */
export async function ensureBucket(
  storage: Storage,
  name: string,
  location?: string,
): Promise<'created' | 'unchanged'> {
  const [exists] = await within(CALL_LIMIT_MS, `look for bucket ${name}`, () => storage.bucket(name).exists());
  if (exists) return 'unchanged';
  try {
    const options = {
      ...(location === undefined ? {} : { location }),
      iamConfiguration: { uniformBucketLevelAccess: { enabled: true }, publicAccessPrevention: 'enforced' },
    };
    await within(CALL_LIMIT_MS, `create bucket ${name}`, () => storage.createBucket(name, options));
    return 'created';
  } catch (error) {
    if (httpStatus(error) === 409) return 'unchanged'; // somebody else has just made it
    throw error;
  }
}
