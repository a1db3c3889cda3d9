/**
 * Where the worker's main thread spends its time: a CPU profile of a run with a model that gives its input back at once.
 * The profile itself is kept in `.imagen/profiles`, for Chromium's developer tools or any other viewer.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { JobMessage } from '../../../src/domain/job.js';
import { localDir } from '../../dev/stack/paths.js';
import { startWorker } from '../../dev/workers.js';
import type { Parts } from '../parts.js';
import type { Traffic } from '../traffic.js';
import { CORPORA, type Corpus, corpusUploader, type Uploaded } from './corpus.js';
import { endWorker, withTraffic } from './harness.js';
import { type Benchmark, figuresFor, reported, round } from './result.js';

const JOBS: Readonly<Record<Corpus['name'], number>> = { thumbnails: 600, web: 200, camera: 40 };
const PICTURES = 30;
const LISTED = 25;
const ECHO = { name: 'echo', fixedMs: 0, eachMs: 0, plans: ['whole'] as const, maxWholePixels: 13_000_000 };

/** What V8 writes with `--cpu-prof`. */
interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  /** Microseconds since the sample before. */
  readonly timeDeltas: readonly number[];
}

interface Cell {
  readonly name: string;
  readonly corpus: Corpus;
  readonly transport: 'unary' | 'shm';
}

const CELLS = CORPORA.flatMap((corpus) =>
  (['unary', 'shm'] as const).map((transport): Cell => ({ name: `${corpus.name}.${transport}`, corpus, transport })),
);

export const profile: Benchmark = (asked) =>
  withTraffic({ models: [{ ...ECHO, plans: [...ECHO.plans] }], progress: asked.progress }, (parts, traffic) => {
    const picturesOf = corpusUploader(parts, PICTURES);
    return figuresFor(CELLS, asked, async (cell) => {
      const pictures = await picturesOf(cell.corpus);
      const profiled = await profileOf(parts, traffic, cell, pictures);
      const busyMs = sum(profiled.byModule.map(([, ms]) => ms)) / JOBS[cell.corpus.name];
      const rows = (ranked: readonly Ranked[]) =>
        ranked.slice(0, LISTED).map(([what, ms]) => `${what}: ${round(ms / JOBS[cell.corpus.name])}`);
      const detail = { unit: 'ms a job', modules: rows(profiled.byModule), functions: rows(profiled.byFunction) };
      return reported(`profile.${cell.name}`, busyMs, detail);
    });
  });

async function profileOf(parts: Parts, traffic: Traffic, cell: Cell, pictures: readonly Uploaded[]) {
  const dir = join(localDir, 'profiles', cell.name);
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  const env = { ...parts.env, IMAGEN_TRITON_TRANSPORT: cell.transport };
  const worker = await startWorker(env, { nodeArgs: ['--cpu-prof', `--cpu-prof-dir=${dir}`] });
  const count = JOBS[cell.corpus.name];
  const output = { format: 'jpeg', quality: 85 } as const;
  const jobs = Array.from({ length: count }, (_, i): JobMessage => {
    const { uri = '' } = pictures[i % pictures.length] ?? {};
    return { jobId: `profile.${cell.name}.${i}`, operations: [ECHO.name], input: { uri }, output };
  });
  await traffic.through(jobs);
  await endWorker(worker);
  const [file = ''] = readdirSync(dir);
  return selfTimes(JSON.parse(readFileSync(join(dir, file), 'utf8')) as Profile);
}

type Ranked = readonly [what: string, ms: number];

/** Time of each function without those that it calls, and summed over each package, in milliseconds. */
function selfTimes({ nodes, samples, timeDeltas }: Profile): { byModule: Ranked[]; byFunction: Ranked[] } {
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const [byModule, byFunction] = [new Map<string, number>(), new Map<string, number>()];
  for (const [i, id] of samples.entries()) {
    const { functionName = '', url = '', lineNumber = 0 } = frames.get(id) ?? {};
    if (functionName === '(idle)' || functionName === '(root)') continue;
    const ms = (timeDeltas[i] ?? 0) / 1000;
    const module = moduleOf(url, functionName);
    add(byModule, module, ms);
    add(byFunction, `${module} ${functionName || 'anonymous'}:${lineNumber + 1}`, ms);
  }
  return { byModule: ranked(byModule), byFunction: ranked(byFunction) };
}

/** A package of node_modules, a file of ours, or a part of Node. */
function moduleOf(url: string, functionName: string): string {
  const found = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? /\/dist\/(.+)\.js$/.exec(url)?.[1];
  return found ?? (url || (functionName.startsWith('(') ? functionName : 'native'));
}

const add = (sums: Map<string, number>, key: string, ms: number) => sums.set(key, (sums.get(key) ?? 0) + ms);
const ranked = (sums: ReadonlyMap<string, number>): Ranked[] => [...sums].sort(([, a], [, b]) => b - a);
const sum = (values: readonly number[]) => values.reduce((total, one) => total + one, 0);
