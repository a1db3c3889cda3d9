/**
 * The planning of buckets against a stand-in for three calls of Cloud Storage's JSON API: fake-gcs-server keeps neither
 * access settings nor lifecycle rules, so what is sent for them can only be seen here.
 */
import type { IncomingMessage } from 'node:http';
import type { BucketMetadata } from '@google-cloud/storage';
import { beforeEach, describe, expect, it } from 'vitest';
import { connectAdmin } from '../../../src/adapters/gcs/admin-api.js';
import { planBucket, type WantedBucket } from '../../../src/adapters/gcs/admin.js';
import { standInForStorage } from '../../support/storage-stand-in.js';

interface Sent {
  readonly method: string;
  readonly url: string;
  readonly body: unknown;
}

const OPEN: BucketMetadata = {
  iamConfiguration: { uniformBucketLevelAccess: { enabled: false }, publicAccessPrevention: 'inherited' },
};
const CLOSED: BucketMetadata = {
  iamConfiguration: { uniformBucketLevelAccess: { enabled: true }, publicAccessPrevention: 'enforced' },
};
const forRecords = {
  action: { type: 'Delete' as const },
  condition: { age: 30, matchesPrefix: ['records/'], matchesSuffix: ['.json'] },
};
const want: WantedBucket = {
  name: 'state',
  location: 'EU',
  keep: [{ folder: 'records', suffixes: ['.json'], days: 30, leastDays: 15 }],
  softDelete: false,
  compare: { access: true, lifecycle: true },
};

describe('planBucket', () => {
  let buckets: Map<string, BucketMetadata>;
  let sent: Sent[];
  /** Called before a change: what somebody else does just then. */
  let meanwhile: () => void;
  const address = standInForStorage(answer);
  const storage = () => connectAdmin({ projectId: 'p', emulator: address() });
  const changes = () => sent.filter(({ method }) => method !== 'GET');

  beforeEach(() => {
    buckets = new Map();
    sent = [];
    meanwhile = () => undefined;
  });

  async function answer(request: IncomingMessage): Promise<[number, unknown]> {
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const body = (text === '' ? undefined : JSON.parse(text)) as BucketMetadata | undefined;
    const { method = '', url = '' } = request;
    sent.push({ method, url, body });
    if (method !== 'GET') meanwhile();
    const { pathname, searchParams } = new URL(url, 'http://x');
    if (method === 'POST' && pathname === '/storage/v1/b' && body?.name !== undefined) {
      if (buckets.has(body.name)) return [409, { error: { code: 409, message: 'you own it' } }];
      buckets.set(body.name, { ...body, metageneration: '1' });
      return [200, buckets.get(body.name)];
    }
    const name = /^\/storage\/v1\/b\/([^/]+)$/.exec(pathname)?.[1] ?? '';
    const found = buckets.get(name);
    if (!found) return [404, { error: { code: 404, message: 'not found' } }];
    if (method === 'PATCH') {
      const expected = searchParams.get('ifMetagenerationMatch');
      if (expected !== null && expected !== found.metageneration)
        return [412, { error: { code: 412, message: 'changed' } }];
      buckets.set(name, { ...found, ...body, metageneration: String(Number(found.metageneration) + 1) });
    }
    return [200, buckets.get(name)];
  }

  it('creates a closed bucket with its rules, in one request, and then finds nothing to do', async () => {
    const step = await planBucket(storage(), want);
    expect(step).toMatchObject({
      todo: 'create',
      details: [
        'location: EU',
        'rights: of the whole bucket',
        'public access: prevented',
        'what is deleted: gone at once',
        'records/: *.json deleted after 30 days',
      ],
    });
    expect(changes()).toEqual([]);
    await step.apply();
    expect(changes()).toEqual([
      {
        method: 'POST',
        url: expect.stringContaining('project=p') as string,
        body: {
          name: 'state',
          location: 'EU',
          ...CLOSED,
          lifecycle: { rule: [forRecords] },
          softDeletePolicy: { retentionDurationSeconds: 0 },
        },
      },
    ]);
    expect(await planBucket(storage(), want)).toMatchObject({ todo: 'nothing', details: [], warnings: [] });
  });

  it('says what differs, and sends that and no more', async () => {
    const old = { ...forRecords, condition: { ...forRecords.condition, age: 7 } };
    const other = { action: { type: 'Delete' as const }, condition: { age: 3, matchesPrefix: ['tmp/'] } };
    buckets.set('state', { name: 'state', metageneration: '4', ...OPEN, lifecycle: { rule: [old, other] } });
    const step = await planBucket(storage(), want);
    expect(step).toMatchObject({
      todo: 'update',
      details: [
        'rights: of each object (ACLs) → of the whole bucket',
        'public access: can be granted → prevented',
        'records/: *.json deleted after 7 days → *.json deleted after 30 days',
      ],
    });
    await step.apply();
    expect(changes()).toEqual([
      {
        method: 'PATCH',
        url: expect.stringContaining('ifMetagenerationMatch=4') as string,
        body: { ...CLOSED, lifecycle: { rule: [other, forRecords] } },
      },
    ]);
    expect(await planBucket(storage(), want)).toMatchObject({ todo: 'nothing' });
  });

  it('takes the last rule away', async () => {
    buckets.set('state', { name: 'state', metageneration: '1', ...CLOSED, lifecycle: { rule: [forRecords] } });
    const step = await planBucket(storage(), {
      ...want,
      keep: [{ folder: 'records', suffixes: [], days: 'for ever' }],
    });
    expect(step.details).toEqual(['records/: *.json deleted after 30 days → kept']);
    await step.apply();
    expect(changes()).toMatchObject([{ method: 'PATCH', body: { lifecycle: null } }]);
  });

  it('leaves alone what it is told to', async () => {
    buckets.set('state', { name: 'state', metageneration: '1', ...OPEN });
    const kept = { access: false, lifecycle: false };
    const step = await planBucket(storage(), { ...want, compare: kept });
    expect(step).toMatchObject({ todo: 'nothing', details: [] });
    await step.apply();
    expect(changes()).toEqual([]);
  });

  it('does not write over a change that came in between', async () => {
    buckets.set('state', { name: 'state', metageneration: '1', ...CLOSED });
    const step = await planBucket(storage(), want);
    meanwhile = () => buckets.set('state', { name: 'state', metageneration: '2', ...CLOSED });
    await expect(step.apply()).rejects.toThrow('change bucket state: somebody else has just changed it');
    expect(buckets.get('state')?.lifecycle).toBeUndefined();
  });

  it('mends the bucket that somebody else has just made', async () => {
    const step = await planBucket(storage(), want);
    meanwhile = () => {
      if (!buckets.has('state')) buckets.set('state', { name: 'state', metageneration: '1', ...OPEN });
    };
    await step.apply();
    expect(changes().map(({ method }) => method)).toEqual(['POST', 'PATCH']);
    expect(buckets.get('state')).toMatchObject({ ...CLOSED, lifecycle: { rule: [forRecords] } });
  });
});
