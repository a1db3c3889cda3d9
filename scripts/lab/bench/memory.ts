/** How much memory the worker needs for one picture of 100 megapixels, against the bound of docs/pixels.md. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import sharp from 'sharp';
import type { OutputFormat } from '../../../src/domain/job.js';
import type { Header } from '../../../src/pipeline/decode.js';
import { memoryOf } from '../../../src/pipeline/memory.js';
import { picture } from './corpus.js';
import type { StandIn } from '../make-models.js';
import { type Harness, jobOf, withHarness } from './harness.js';
import { type Benchmark, type Figure, figure, figuresFor, round } from './result.js';

const SIDE = 10_000;
const PIXELS = SIDE * SIDE;
const MB = 1e6;
/** Two requests for each place in a batch of eight. */
const IN_FLIGHT = 16;
/** What does not grow with the picture: buffers that V8 has not collected yet, libraries, compiled code, heap. */
const CONSTANT_MB = 150;
/** Side of the tiles of the TIFF that is read. */
const TIFF_TILE = 1024;
const FORMAT_OF = { jpeg: 'jpeg', turned: 'jpeg', alpha: 'png', tiff: 'tiff', gif: 'gif' } as const;

interface Case {
  readonly name: string;
  readonly input: 'jpeg' | 'turned' | 'alpha' | 'tiff' | 'gif';
  readonly output: OutputFormat;
  readonly tile: 128 | 512;
  readonly operations: number;
}

const CASES: readonly Case[] = [
  { name: 'jpeg', input: 'jpeg', output: 'jpeg', tile: 512, operations: 1 },
  { name: 'tiles', input: 'jpeg', output: 'jpeg', tile: 128, operations: 1 },
  { name: 'chain', input: 'jpeg', output: 'jpeg', tile: 512, operations: 3 },
  { name: 'turned', input: 'turned', output: 'jpeg', tile: 512, operations: 1 },
  { name: 'alpha', input: 'alpha', output: 'png', tile: 512, operations: 1 },
  { name: 'webp', input: 'jpeg', output: 'webp', tile: 512, operations: 1 },
  { name: 'tiff', input: 'tiff', output: 'jpeg', tile: 512, operations: 1 },
  { name: 'gif', input: 'gif', output: 'jpeg', tile: 512, operations: 1 },
];

const modelOf = (tile: number): StandIn => ({
  ...{ name: `echo_${tile}`, fixedMs: 0, eachMs: 0, plans: ['tile'], tileSizes: [tile], margin: 16 },
});

export const memory: Benchmark = (asked) => {
  // glibc keeps an arena for each thread and gives little of it back; few arenas make it a measurement of the worker.
  process.env.MALLOC_ARENA_MAX ??= '2';
  return withHarness([modelOf(128), modelOf(512)], asked.progress, (harness) =>
    figuresFor(CASES, asked, (one) => measure(harness, one)),
  );
};

async function measure(harness: Harness, one: Case): Promise<Figure> {
  const { name, input, output, tile, operations } = one;
  const bytes = await largePicture(input);
  const uri = await harness.upload(`memory/${name}`, bytes);
  await harness.freshWorkers();
  await sleep(2000);
  const idle = statusOf(harness.workerPid(), 'VmRSS');
  const job = jobOf(`memory.${name}.${Math.random().toString(36).slice(2)}`, '', uri, {
    operations: Array<string>(operations).fill(`echo_${tile}`),
    output: { format: output },
  });
  const { seconds, completions } = await harness.run([{ job }]);
  const peak = statusOf(harness.workerPid(), 'VmHWM');
  const [completion] = completions;
  const files = bytes.length + (completion?.output?.bytes ?? 0);
  const bound = boundOf(one, files);
  return figure(`memory.${name}`, (peak - idle) / bound, '<=', 1, {
    simulated: 'the model gives its input back',
    megapixels: PIXELS / 1e6,
    MB: { idle: inMB(idle), peak: inMB(peak), job: inMB(peak - idle), bound: inMB(bound), files: inMB(files) },
    bytesPerPixel: round((peak - idle) / PIXELS),
    requests: completion?.steps?.reduce((sum, { requests }) => sum + requests, 0),
    seconds: round(seconds),
    mallocArenaMax: process.env.MALLOC_ARENA_MAX,
  });
}

/** What the worker reserves for the picture, and what comes on top (docs/pixels.md). */
function boundOf({ input, output, tile, operations }: Case, files: number): number {
  const header: Header = {
    ...{ width: SIDE, height: SIDE, format: FORMAT_OF[input] },
    ...{ hasAlpha: input === 'alpha', turned: input === 'turned', progressive: false, deep: false },
    heldBytes: input === 'tiff' ? 3 * TIFF_TILE ** 2 * 3 : 0,
  };
  const step = { model: { output: 'image' }, contract: { scale: 1 } } as const;
  const pixels = memoryOf(header, Array<typeof step>(operations).fill(step), { format: output });
  const tensors = IN_FLIGHT * tile * tile * 3 * (1 + 1) * 2;
  return pixels + files + tensors + CONSTANT_MB * MB;
}

async function largePicture(input: Case['input']): Promise<Buffer> {
  // Enlarged from a small one, it compresses to less than a worker's limit for input files.
  const large = sharp(await picture({ width: 500, height: 500 })).resize(SIDE, SIDE, { kernel: 'nearest' });
  if (input === 'jpeg') return large.jpeg({ quality: 80 }).toBuffer();
  if (input === 'turned') return large.withMetadata({ orientation: 6 }).jpeg({ quality: 80 }).toBuffer();
  const tiles = { tile: true, tileWidth: TIFF_TILE, tileHeight: TIFF_TILE };
  if (input === 'tiff') return large.tiff({ compression: 'lzw', ...tiles }).toBuffer();
  if (input === 'gif') return large.gif({ colours: 64, dither: 0, effort: 1 }).toBuffer();
  const alpha = Buffer.alloc(PIXELS);
  for (let y = 0; y < SIDE; y++) alpha.fill(y % 256, y * SIDE, (y + 1) * SIDE);
  const raw = { width: SIDE, height: SIDE, channels: 1 } as const;
  return large.joinChannel(alpha, { raw }).png().toBuffer();
}

const statusOf = (pid: number, line: 'VmRSS' | 'VmHWM'): number =>
  Number(new RegExp(`^${line}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;

const inMB = (bytes: number): number => Math.round(bytes / MB);
