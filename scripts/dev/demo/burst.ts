/** Sixty pictures of sixty sizes at once. Triton batches requests of equal shape, so a client that sends each as it is gets no batch. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { connectTriton } from '../../../src/adapters/triton/server.js';
import { type Client, createClient, type Outcome, type SubmitRequest } from '../../../src/client/index.js';
import type { Progress } from '../progress.js';
import { type DemoStack, untilGone } from './demo-stack.js';
import { photo } from './jobs.js';
import { createBatches } from './live/models.js';

export interface Burst {
  readonly model: string;
  readonly pictures: readonly BurstPicture[];
  /** How often Triton ran the model with a batch of so many requests. */
  readonly runs: readonly { readonly size: number; readonly runs: number }[];
  /** Requests a run. */
  readonly meanBatch: number;
  /** From the first upload to the last result. */
  readonly wallMs: number;
}

export interface BurstPicture {
  /** In pixels. */
  readonly width: number;
  readonly height: number;
  /** The result's path in the demo's folder; absent if there is none. */
  readonly after?: string;
  /** Why there is no result. */
  readonly problem?: string;
}

const COUNT = 60;
const MODEL = 'enhance';
const PHOTOS = ['chelsea', 'coffee', 'astronaut', 'rocket'] as const;
const FOLDER = 'burst';
const LIMIT_MS = 300_000;

/** No two alike, and small, since without a GPU the network computes on this machine's processors. */
const sizes = Array.from({ length: COUNT }, (_, i) => ({ width: 64 + i, height: 64 + ((i * 23) % COUNT) }));

export async function runBurst(
  { env, worker }: Pick<DemoStack, 'env' | 'worker'>,
  { folder, progress, signal }: { readonly folder: string; readonly progress: Progress; readonly signal: AbortSignal },
): Promise<Burst> {
  const task = progress.task('burst');
  task.step(`${COUNT} pictures of ${COUNT} sizes`);
  await mkdir(join(folder, FOLDER));
  const requests = await makeRequests();
  const server = connectTriton({ url: env.TRITON_URL });
  const client = createClient({ env });
  const ended = new AbortController();
  const gone = untilGone(worker, ended.signal).catch((error: unknown) => ended.abort(error));
  const limit = AbortSignal.any([signal, ended.signal, AbortSignal.timeout(LIMIT_MS)]);
  const batches = createBatches();
  const count = async () => batches.add(MODEL, await server.statistics(MODEL, limit), performance.now());
  try {
    await server.refresh(limit);
    await count();
    const beganAt = performance.now();
    const pictures = await submit(client, requests, folder, limit);
    const wallMs = performance.now() - beganAt;
    await count();
    const { mean = 0, sizes: runs = [] } = batches.view()[0] ?? {};
    task.done(`${mean.toFixed(1)} pictures a batch; sent one by one as they are, 1.0`);
    return { model: MODEL, pictures, runs, meanBatch: mean, wallMs };
  } finally {
    ended.abort();
    await gone;
    await client.close();
    await server.close();
  }
}

/** A request for each size, all of one group. */
export async function makeRequests(): Promise<SubmitRequest[]> {
  const id = `burst-${Date.now().toString(36)}`;
  const pictures = await burstPictures();
  // The live page shows a group as one card. Sixty would bury those of the six pictures.
  const group = { id, total: pictures.length };
  return pictures.map((input, place) => ({
    ...{ jobId: `${id}.${place}`, name: `${place}.jpg`, operations: [MODEL], input, group },
  }));
}

/** JPEGs, each of another size. */
export function burstPictures(): Promise<Buffer[]> {
  const make = ({ width, height }: { width: number; height: number }, place: number) =>
    sharp(photo(PHOTOS[place % PHOTOS.length] ?? PHOTOS[0]))
      .resize(width, height)
      .jpeg()
      .toBuffer();
  return Promise.all(sizes.map(make));
}

/** Rejects only if it is given up. */
async function submit(client: Client, requests: readonly SubmitRequest[], folder: string, signal: AbortSignal) {
  const pictures = new Map<number, BurstPicture>();
  const places = new Map(requests.map((request, place) => [request, place]));
  for await (const outcome of client.submitAll(requests, { signal })) {
    const place = places.get(outcome.request) ?? NaN;
    const problem = problemOf(outcome);
    const after = join(FOLDER, `${place}.jpg`);
    if (outcome.kind === 'ended' && problem === undefined) {
      await client.download(outcome.completion, { to: join(folder, after), signal });
    }
    const size = sizes[place] ?? { width: 0, height: 0 };
    pictures.set(place, { ...size, ...(problem === undefined ? { after } : { problem }) });
  }
  return [...pictures].sort(([a], [b]) => a - b).map(([, picture]) => picture);
}

function problemOf(outcome: Outcome): string | undefined {
  if (outcome.kind === 'refused') return outcome.error.message;
  if (outcome.kind === 'submitted') return 'nobody waited for it';
  const { status, error } = outcome.completion;
  return status === 'succeeded' ? undefined : `${error?.code ?? status}: ${error?.message ?? 'no reason was given'}`;
}
