/**
 * Builds both images for real and tries what is in them, without Docker and without a registry (docs/images.md):
 * `npm run test:images -- --help`. The last line says how many checks passed and failed.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { program } from 'commander';
import { giveUpOnSignals } from '../dev/give-up.js';
import { makeBases, NODE, standInPython, TRITON } from './images/bases.js';
import { checks, type Scene } from './images/checks.js';
import { composeChecks } from './images/compose.js';
import {
  Buildah,
  type Build,
  imagesDir,
  logFile,
  missingTools,
  run as runTool,
  type RunOptions,
} from './images/tools.js';
import { triton as tritonPart } from '../dev/parts/triton.js';
import { createProgress, type Progress } from '../dev/progress.js';
import { guard } from '../dev/stack/guard.js';
import { quietly, withLock } from '../dev/stack/lock.js';
import { cacheDir, root } from '../dev/stack/paths.js';
import { findMarked, markerEnv, stopAll } from '../dev/stack/processes.js';
import { upStack, type Stack } from '../dev/stack/up.js';
import { Suite } from './suite.js';

const signal = giveUpOnSignals();
const suite = new Suite();

async function check(name: string, body: () => unknown): Promise<boolean> {
  signal.throwIfAborted();
  return suite.check(name, body);
}

async function test(progress: Progress, alreadyBuilt: boolean): Promise<void> {
  const run = randomUUID();
  const options: RunOptions = { signal, marker: markerEnv(imagesDir, run) };
  const buildah = new Buildah(options);
  const say = (text: string) => progress.say(text);
  await sweep();
  // Should this process be killed, what runs in the images dies with it; containers and mounts are for the next sweep.
  const watchdog = guard(imagesDir, run);
  for (const [name, body] of Object.entries(composeChecks(options))) await check(name, body);

  say('starting Pub/Sub and Cloud Storage');
  const stack = await upStack({
    dir: join(imagesDir, 'stack'),
    ports: 'free',
    parts: ['pubsub', 'gcs'],
    pubsub: 'google',
    signal,
  });
  try {
    if (!alreadyBuilt) {
      await installTriton(stack, options, say);
      await makeBases(buildah, options, say);
      say('building');
      const one = await check('Dockerfile builds', () => buildah.build(worker));
      const other = await check('triton/Dockerfile builds', () => buildah.build(triton));
      if (!one || !other) return;
    }
    const scene: Scene = {
      ...{ worker: await buildah.unpack(worker.tag), triton: await buildah.unpack(triton.tag) },
      ...{ stack, options, progress },
    };
    for (const [name, body] of Object.entries(checks())) await check(name, () => body(scene));
    for (const tag of [NODE, worker.tag, TRITON, triton.tag]) console.log(await sizesOf(buildah, tag, options));
  } finally {
    await stack.down();
    await watchdog.release();
    await sweep();
  }
}

const worker: Build = {
  ...{ file: join(root, 'Dockerfile'), tag: 'localhost/imagen-worker', context: root },
  args: { NODE_BASE: NODE },
};

const triton: Build = {
  ...{ file: join(root, 'triton/Dockerfile'), tag: 'localhost/triton-imagen', context: join(root, 'triton') },
  args: { TOOLS_BASE: NODE, TRITON_BASE: TRITON, PYTHON_VERSION: standInPython, ONNXRUNTIME: 'onnxruntime' },
};

/** Its files alone, for a base: it runs in the image. */
async function installTriton({ dir, ports }: Stack, options: RunOptions, say: (text: string) => void): Promise<void> {
  const context = { dir, ports, cache: cacheDir, models: ['style_aged'] };
  const step = (text: string) => say(`triton: ${text}`);
  const run = (command: string, args: readonly string[]) => runTool(command, args, options);
  await withLock(cacheDir, quietly, async () => tritonPart.install?.({ ...context, step, run }));
}

/** Of all files of an image, and of what we have put there; beneath ours are those of its base. */
async function sizesOf(buildah: Buildah, tag: string, options: RunOptions): Promise<string> {
  const { folder } = await buildah.unpack(tag);
  const all = (await runTool('du', ['--bytes', '--max-depth=3', folder], options)).trimEnd().split('\n');
  return all
    .map((line) => line.split('\t'))
    .filter(([, path = '']) => path === folder || dirname(path) === join(folder, 'opt/imagen'))
    .map(([bytes, path]) => `size    ${tag}${path?.slice(folder.length) ?? ''}: ${Math.round(Number(bytes) / 1e6)} MB`)
    .join('\n');
}

/** Ends and removes what an earlier run, or this one, has left in the middle of something. */
async function sweep(): Promise<void> {
  await stopAll(() => findMarked(({ dir }) => dir === imagesDir), 1_000);
  await new Buildah({ signal: new AbortController().signal, marker: {} }).sweep();
  await rm(join(imagesDir, 'mountpoints'), { recursive: true, force: true });
}

const { built = false, clean } = program
  .name('npm run test:images --')
  .option('--built', 'try the images that an earlier run has built')
  .option('--clean', 'remove what was made')
  .parse()
  .opts<{ built?: true; clean?: true }>();

async function main(): Promise<void> {
  const missing = missingTools();
  if (missing.length > 0) {
    const how = 'Debian packages: bash scripts/install-debian-packages.sh images';
    throw new Error(`missing:\n${missing.map((line) => `  ${line}`).join('\n')}\n${how}`);
  }
  await mkdir(imagesDir, { recursive: true });
  await writeFile(logFile, '');
  const progress = createProgress();
  const onWait = (holder: string) => progress.say(`waiting for ${holder}`);
  await withLock(imagesDir, onWait, () => test(progress, built));
}

if (clean) await rm(imagesDir, { recursive: true, force: true });
else await suite.run(main);
