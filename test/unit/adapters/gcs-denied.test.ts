/**
 * A create that storage denies, against a stand-in for three calls: emulators know no rights, so none of them answers 403.
 */
import { CRC32C } from '@google-cloud/storage';
import { beforeEach, describe, expect, it } from 'vitest';
import { createObjectStore } from '../../../src/adapters/gcs/store.js';
import { standInForStorage } from '../../support/storage-stand-in.js';

const bytes = Buffer.from('a result');
const crc32c = (of: Buffer) => {
  const sum = new CRC32C();
  sum.update(of);
  return sum.toString();
};

describe('a create that is denied', () => {
  let there: Buffer | 'hidden' | undefined;
  const storage = standInForStorage(({ method }) => {
    if (method === 'POST') return [403, { error: { code: 403, message: 'storage.objects.delete denied' } }];
    if (there === 'hidden') return [403, { error: { code: 403, message: 'storage.objects.list denied' } }];
    if (!there) return [404, { error: { code: 404, message: 'No such object: results/x.png' } }];
    return [200, { name: 'x.png', generation: '7', size: String(there.length), crc32c: crc32c(there) }];
  });
  const create = () => {
    const options = { contentType: 'image/png', signal: AbortSignal.timeout(10_000) };
    return createObjectStore({ emulator: storage() }).create({ bucket: 'results', name: 'x.png' }, bytes, options);
  };
  beforeEach(() => {
    there = undefined;
  });

  it('is an object that exists, where there is one: the right to replace it is not needed', async () => {
    there = bytes;
    await expect(create()).resolves.toMatchObject({ kind: 'exists', sameBytes: true, info: { generation: '7' } });
    there = Buffer.from('another');
    await expect(create()).resolves.toMatchObject({ kind: 'exists', sameBytes: false });
  });

  it('names the right that it lacked first, where it may not look either', async () => {
    there = 'hidden';
    await expect(create()).rejects.toThrow(/delete denied.*lacks the right/);
  });

  it('is a right that is missing, where there is none', async () => {
    await expect(create()).rejects.toThrow(/delete denied.*lacks the right/);
  });
});
