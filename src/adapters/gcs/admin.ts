import type { Storage } from '@google-cloud/storage';
import { httpStatus } from './errors.js';

/**
 * Creates a bucket unless it is there: no per-object rights, no public access.
 * @param location such as `EU` or `us-central1`; the service's default when absent
 */
export async function ensureBucket(
  storage: Storage,
  name: string,
  location?: string,
): Promise<'created' | 'unchanged'> {
  const [exists] = await storage.bucket(name).exists();
  if (exists) return 'unchanged';
  try {
    await storage.createBucket(name, {
      ...(location === undefined ? {} : { location }),
      iamConfiguration: { uniformBucketLevelAccess: { enabled: true }, publicAccessPrevention: 'enforced' },
    });
    return 'created';
  } catch (error) {
    if (httpStatus(error) === 409) return 'unchanged'; // somebody else has just made it
    throw error;
  }
}
