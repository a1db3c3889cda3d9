import { parsePrefix } from '../../domain/uri.js';
import { UsageError } from '../usage.js';
import type { Repository } from './push-rules.js';

/** Opens a model repository in a folder or in Cloud Storage. @throws UsageError */
export async function openRepository(place: string, emulator: string | undefined): Promise<Repository> {
  // A variable that is not set must not become the folder that one happens to stand in.
  if (place.trim() === '')
    throw new UsageError('--repository: expected a folder or gs://<bucket>/<prefix>, given nothing');
  if (place.startsWith('gs://')) {
    const prefix = parsePrefix(place);
    if (typeof prefix === 'string') throw new UsageError(`--repository: ${prefix}, given ${place}`);
    const { openBucket } = await import('./bucket.js');
    return openBucket(prefix, emulator);
  }
  if (place.includes('://'))
    throw new UsageError(`--repository: expected a folder or gs://<bucket>/<prefix>, given ${place}`);
  const { openVolume } = await import('./volume.js');
  return openVolume(place);
}
