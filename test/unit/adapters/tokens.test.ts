/** Credentials as Google's own library gets them, from a metadata server of the test's. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createObjectStore } from '../../../src/adapters/gcs/store.js';
import { googleTokens, STORAGE_SCOPES } from '../../../src/adapters/tokens.js';
import { standInForStorage } from '../../support/storage-stand-in.js';

const signal = new AbortController().signal;
const ref = { bucket: 'b', name: 'x' };

// Google's library takes a second to load, and more on a busy machine.
describe('credentials', { timeout: 30_000 }, () => {
  let metadata: Server;
  let given: number;
  let accepted: string;
  const seen: (string | undefined)[] = [];
  const address = standInForStorage(({ headers: { authorization } }) => {
    seen.push(authorization);
    if (authorization !== `Bearer ${accepted}`) return [401, { error: { code: 401, message: 'Invalid Credentials' } }];
    return [200, { generation: '1', size: '0' }];
  });
  const open = () =>
    createObjectStore({ emulator: address() }, { tokens: googleTokens(STORAGE_SCOPES), requestMs: 30_000 });

  beforeEach(async () => {
    [given, seen.length, accepted] = [0, 0, 'token-1'];
    metadata = createServer(({ url = '' }, response) => {
      response.setHeader('Metadata-Flavor', 'Google');
      if (!url.includes('/token')) return response.end('somebody');
      expect(url).toContain('devstorage.read_write');
      response.setHeader('content-type', 'application/json');
      return response.end(JSON.stringify({ access_token: `token-${++given}`, expires_in: 3599, token_type: 'Bearer' }));
    });
    metadata.listen(0, '127.0.0.1');
    await once(metadata, 'listening');
    vi.stubEnv('GCE_METADATA_HOST', `127.0.0.1:${(metadata.address() as AddressInfo).port}`);
    vi.stubEnv('METADATA_SERVER_DETECTION', 'assume-present');
    vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', undefined);
    vi.stubEnv('HOME', '/nonexistent');
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    metadata.closeAllConnections();
    metadata.close();
    await once(metadata, 'close');
  });

  it('are asked for once, and again when the service no longer accepts them', async () => {
    const store = open();
    await store.stat(ref, signal);
    await store.stat(ref, signal);
    expect(seen).toEqual(['Bearer token-1', 'Bearer token-1']);
    accepted = 'token-2';
    await expect(store.stat(ref, signal)).rejects.toThrow(/401: Invalid Credentials \(the worker lacks the right\)/);
    expect(await store.stat(ref, signal)).toBeDefined();
    expect(given).toBe(2);
  });

  it('that cannot be had are storage being unavailable', async () => {
    vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', '/nonexistent/key.json');
    await expect(open().stat(ref, signal)).rejects.toMatchObject({
      code: 'STORAGE_UNAVAILABLE',
      message: expect.stringMatching(/stat gs:\/\/b\/x: no credentials: .*key\.json/) as string,
      needs: { kind: 'bucket', name: 'b', access: 'read' },
    });
    expect(seen).toEqual([]);
  });
});
