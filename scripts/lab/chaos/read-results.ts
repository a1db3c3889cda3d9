/** What anybody could see when all is over: what the buckets hold, and what is left in the queue. */
import type { Message } from '@google-cloud/pubsub';
import { objectRef } from '../../../src/domain/uri.js';
import { until } from '../../dev/until.js';
import type { Parts } from '../parts.js';
import { LATE_BUCKET } from './inputs.js';
import type { StoredObject } from './judge.js';

/** Longer than a lease, which the workers may have let go of at their end. */
const LEASE_MS = 12_000;
const SENTINEL_LIMIT_MS = 60_000;

/**
 * What the jobs' subscription still holds; a sentinel shows that what is there does arrive.
 * @param settledAt when what was held at the last fault has come again, in milliseconds since the epoch
 */
export async function drain({ pubsub, env }: Parts, settledAt: number): Promise<string[]> {
  const left = new Map<string, string>();
  const subscription = pubsub.subscription(env.IMAGEN_JOBS_SUBSCRIPTIONS);
  subscription.on('message', (message: Message) => {
    left.set(message.id, message.data.toString('utf8'));
    message.ack();
  });
  const startedAt = performance.now();
  const sentinel = await pubsub.topic(env.IMAGEN_JOBS_TOPIC).publishMessage({ data: Buffer.from('sentinel') });
  const isOver = () => performance.now() - startedAt >= LEASE_MS && Date.now() >= settledAt && left.has(sentinel);
  await until(isOver, { limitMs: SENTINEL_LIMIT_MS, what: 'the subscription delivers the sentinel' });
  await subscription.close();
  left.delete(sentinel);
  return [...left].map(([id, data]) => `${id}: ${data.slice(0, 200)}`);
}

export async function readRecords({ storage, env }: Parts): Promise<Map<string, string>> {
  const { bucket, name: folder } = objectRef(`${env.IMAGEN_STATE_PREFIX}x`);
  const [files] = await storage.bucket(bucket).getFiles({ versions: true });
  const records = new Map<string, string>();
  const prefix = folder.slice(0, -1);
  // Beside them lie marks that messages leave.
  for (const file of files.filter(({ name }) => name.endsWith('.json'))) {
    const jobId = file.name.slice(prefix.length).replace(/\.json$/, '');
    if (records.has(jobId)) throw new Error(`${file.name} has several generations`);
    const [bytes] = await file.download();
    records.set(jobId, bytes.toString('utf8'));
  }
  return records;
}

export async function readResults({ storage, env }: Parts): Promise<StoredObject[]> {
  const buckets = [env.IMAGEN_OUTPUT_PREFIX, LATE_BUCKET].map((prefix) => objectRef(`${prefix}x`).bucket);
  const found = await Promise.all(
    buckets.map(async (bucket) => {
      const [files] = await storage.bucket(bucket).getFiles({ versions: true });
      return files.map(({ name, metadata }) => ({
        uri: `gs://${bucket}/${name}`,
        generation: String(metadata.generation),
        bytes: Number(metadata.size),
        crc32c: metadata.crc32c ?? '',
      }));
    }),
  );
  return found.flat();
}
