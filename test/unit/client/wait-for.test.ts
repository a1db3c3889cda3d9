/** Waits by completions that end while their subscription is still being made. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { createClient } from '../../../src/client/index.js';

it('ends a wait by completions when it is told to, also where Pub/Sub accepts the connection and says nothing', async () => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const client = createClient({
    ...{ projectId: 'p', statePrefix: 'gs://state/', pubsubEmulator: `127.0.0.1:${port}` },
    env: { STORAGE_EMULATOR_HOST: 'http://127.0.0.1:1' },
  });
  const stop = new AbortController();
  const connected = once(silent, 'connection');
  const wait = client.waitFor('a', { by: 'completions', signal: stop.signal });
  await connected;
  stop.abort(new Error('enough'));
  await expect(wait).rejects.toThrow('enough');
  silent.close();
  for (const socket of sockets) socket.destroy();
  await client.close();
});
