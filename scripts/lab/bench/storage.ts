/** CPU of the worker's storage client beside Google's, against the same fake-gcs-server. Both check CRC32C. */
import { randomBytes } from 'node:crypto';
import type { Storage } from '@google-cloud/storage';
import { createObjectStore } from '../../../src/adapters/gcs/store.js';
import { createStorage } from '../google-clients.js';
import { withStack } from './harness.js';
import { type Benchmark, figure, figuresFor, median, round } from './result.js';

const BUCKET = 'bench-storage';
const KIB = 1024;
const ROUNDS = 5;
const AT_ONCE = 8;
/** The largest part of the peer's CPU that is allowed. */
const GOAL = 0.5;

interface Client {
  read(name: string): Promise<unknown>;
  create(name: string, bytes: Buffer): Promise<unknown>;
  miss(name: string): Promise<unknown>;
}

interface Case {
  readonly name: string;
  readonly times: number;
  readonly work: (client: Client, id: string) => Promise<unknown>;
}

export const storage: Benchmark = (asked) =>
  withStack(['gcs'], asked.progress, async ({ GOOGLE_CLOUD_PROJECT: projectId, STORAGE_EMULATOR_HOST: emulator }) => {
    const peer = createStorage({ projectId, emulator });
    await peer.createBucket(BUCKET);
    const clients = { ours: ours(emulator), theirs: theirs(peer) };
    const [small, large] = [randomBytes(64 * KIB), randomBytes(2048 * KIB)];
    await clients.ours.create('small', small);
    await clients.ours.create('large', large);
    const cases: readonly Case[] = [
      { name: 'read.64KiB', times: 400, work: (client) => client.read('small') },
      { name: 'read.2MiB', times: 60, work: (client) => client.read('large') },
      { name: 'create', times: 300, work: (client, id) => client.create(id, small) },
      { name: 'miss', times: 400, work: (client, id) => client.miss(id) },
    ];
    return figuresFor(cases, asked, (one) => compare(one, clients));
  });

async function compare({ name, times, work }: Case, clients: Record<'ours' | 'theirs', Client>) {
  const spent = { ours: [] as number[], theirs: [] as number[] };
  for (let round = -1; round < ROUNDS; round++) {
    for (const who of ['ours', 'theirs'] as const) {
      const used = await cpuOf(times, (i) => work(clients[who], `${name}-${who}-${round}-${i}`));
      if (round >= 0) spent[who].push(used / times);
    }
  }
  const [mine, peers] = [median(spent.ours), median(spent.theirs)];
  return figure(`storage.${name}`, mine / peers, '<=', GOAL, {
    cpuMicroseconds: { ours: Math.round(mine), theirs: Math.round(peers) },
    rounds: ROUNDS,
    spread: round(Math.max(...spent.ours) / Math.min(...spent.ours)),
  });
}

async function cpuOf(times: number, work: (i: number) => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  let next = 0;
  const lane = async () => {
    while (next < times) await work(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

function ours(emulator: string): Client {
  const store = createObjectStore({ emulator });
  const { signal } = new AbortController();
  const read = (name: string) => store.read({ bucket: BUCKET, name }, { maxBytes: 1e8, signal });
  return {
    read,
    miss: read,
    create: (name, bytes) => store.create({ bucket: BUCKET, name }, bytes, { contentType: 'image/png', signal }),
  };
}

function theirs(client: Storage): Client {
  const bucket = client.bucket(BUCKET);
  return {
    async read(name) {
      const [{ generation = '' }] = await bucket.file(name).getMetadata();
      const body = bucket.file(name, { generation }).createReadStream({ validation: 'crc32c', decompress: false });
      const chunks: Buffer[] = [];
      for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk);
      return Buffer.concat(chunks);
    },
    miss: (name) =>
      bucket
        .file(name)
        .getMetadata()
        .catch(() => undefined),
    create: (name, bytes) =>
      bucket.file(name).save(bytes, {
        ...{ resumable: false, validation: 'crc32c', preconditionOpts: { ifGenerationMatch: 0 } },
        metadata: { contentType: 'image/png' },
      }),
  };
}
