/** The commands of the documentation, run as they are written, in a folder with the pictures that they speak of. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { pages } from '../support/documentation.js';
import { runProgram } from '../support/program.js';
import { localDir } from '../../scripts/dev/stack/paths.js';
import { freePorts, type PortName, portVariable } from '../../scripts/dev/stack/ports.js';
import { createScene, type Scene, showOnFailure } from '../support/scene.js';

const root = new URL('../../', import.meta.url).pathname;
/** The commands under each heading. */
const blocks = new Map<string, string[]>();
for (const { place, commands } of pages().flatMap((page) => page.blocks)) {
  blocks.set(place, [...(blocks.get(place) ?? []), ...commands]);
}

/** Blocks that are run elsewhere, and where. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'README.md, imagen': 'test/e2e/stack.test.ts, and this very run',
  'docs/failures.md, `npm run chaos`': 'test/e2e/chaos.test.ts',
  'docs/google-cloud.md, A subscription for each model, or priority': 'test/contract/setup.test.ts',
  'docs/operations.md, How many GPUs and workers': 'test/unit/cli/capacity.test.ts, and the README by hand',
  'docs/publishing.md, From Python, Go, or any other language': 'test/e2e/python.test.ts',
  'docs/tracing.md, Switch it on': 'test/e2e/tracing.test.ts',
  'docs/versions.md, Ship a version': 'test/e2e/ship-a-version.test.ts',
  'triton/README.md, A model of your own, in two minutes': 'test/e2e/new-model.test.ts',
  'triton/README.md, Bring better weights': 'test/contract/models.test.ts',
  'triton/README.md, Three ways to run a network': 'scripts/dev/parts/triton.ts, at every start of the stack',
};

/** Programs that need Google Cloud, a cluster or Docker, which a test has not. A block with one of them is marked by it. */
const OF_THE_CLOUD =
  /\b(gcloud|kubectl|docker|bq|release\/gcp\/setup\.sh|test:k8s|tritonserver|--trace-config)\b|--trace-config/;
/** Made on Google's side alone: the emulators send no notifications of buckets. */
const FRONT_DOOR = 'docs/google-cloud.md, A bucket as front door';

interface Run {
  readonly prepare?: (scene: Scene, folder: string) => Promise<void>;
  /** Words of the page that stand for what the reader has, and what it is here. */
  readonly words?: Readonly<Record<string, string>>;
  readonly env?: () => Promise<Readonly<Record<string, string>>>;
  /** Exit codes of commands that tell something by them, by the command's first words. */
  readonly codes?: Readonly<Record<string, number>>;
  readonly worker?: true;
}

/** A command that goes on until it is interrupted. */
const ENDLESS = /^imagen (watch|jobs list --watch)|imagen worker$/;
const ENDS_AFTER = 'timeout --signal INT 4 env';

const RUN: Readonly<Record<string, Run>> = {
  'README.md, Try it by hand': {
    words: { 'npm run': `npm --prefix '${root}' run` },
    env: async () => {
      const ports = Object.entries(await freePorts()).map(([name, port]) => [
        portVariable(name as PortName),
        String(port),
      ]);
      return {
        ...(Object.fromEntries(ports) as Record<string, string>),
        IMAGEN_STACK_DIR: join(localDir, `test-documented-${process.pid}`),
      };
    },
  },
  'CONTRIBUTING.md, Debug one job': {
    words: { 'npm run stack -- up && eval "$(npm run -s stack -- env)"': 'true' },
  },
  'docs/publishing.md, From the command line': { worker: true },
  'docs/completions.md, A webhook': { worker: true },
  'docs/jobs.md, Find': { worker: true, prepare: twoOrders },
  'docs/jobs.md, Do again': { worker: true, prepare: twoOrders },
  'docs/jobs.md, Dead letters': { worker: true, prepare: aDeadLetter, codes: { 'imagen dead-letters purge': 1 } },
  'docs/operations.md, Tenants that share a queue': { words: { 'imagen-jobs-worker': '"$IMAGEN_JOBS_SUBSCRIPTIONS"' } },
  'docs/versions.md, Shadow traffic': {},
  'docs/versions.md, Change them from the command line': {
    words: {
      '1795827307838562': '$(imagen routes history --json | sed -n \'s/.*"id": "\\(.*\\)".*/\\1/p\' | head -1)',
    },
  },
};

async function twoOrders(scene: Scene, folder: string): Promise<void> {
  const order = { operations: ['style_aged'], group: { id: 'album-17' }, tenant: 'shop' };
  const there = await scene.upload('back.jpg', await readFile(join(folder, 'photo.jpg')));
  const missing = there.replace('back', 'front');
  await scene.publish({ ...order, jobId: 'order-8841.front', input: { uri: missing } });
  await scene.publish({ ...order, jobId: 'order-8842.front', input: { uri: there } });
  await scene.completions(2);
  await scene.upload('front.jpg', await readFile(join(folder, 'photo.jpg')));
}

async function aDeadLetter(scene: Scene): Promise<void> {
  await scene.publishRaw(JSON.stringify({ jobId: 'order-8841.front', operations: [] }));
  await scene.completions(1);
}

/** What a shell says of each command: its exit code, and what it has printed. */
async function typed(commands: readonly string[], folder: string, env: NodeJS.ProcessEnv) {
  const script = commands.map((command) => `${command}\necho "::exit $?"`).join('\n');
  // With job control, as in a terminal: what was started in the background ends with all its processes.
  const { stdout, stderr } = await runProgram(
    'bash',
    ['-c', `set -m\ncd '${folder}'\n${script}\nfor job in $(jobs -p); do kill -- -$job; done; wait`],
    env,
  );
  const codes = [...stdout.matchAll(/^::exit (\d+)$/gm)].map(([, code]) => Number(code));
  return { codes, told: stdout + stderr };
}

describe('the documentation', () => {
  /** Of each block its own, so that none finds what another has set up. */
  let scene: Scene | undefined;
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'imagen-documented-'));
    await mkdir(join(folder, 'photos'));
    const coffee = sharp(join(root, 'test/fixtures/photos/coffee.jpg')).resize(160).jpeg();
    for (const name of ['photo.jpg', 'front.jpg', 'photos/a.jpg', 'photos/b.jpg'])
      await coffee.clone().toFile(join(folder, name));
    await cp(join(root, 'scripts/dev/stack/routes.json'), join(folder, 'routes.json'));
    await cp(join(root, 'docs/examples'), join(folder, 'docs/examples'), { recursive: true });
    const manifest = [
      { input: 'front.jpg', out: '8841/front' },
      { input: 'photos/a.jpg', out: '8842/back' },
    ];
    await writeFile(join(folder, 'jobs.jsonl'), manifest.map((line) => JSON.stringify(line)).join('\n'));
  });
  afterEach(async () => {
    await scene?.close();
    scene = undefined;
  });
  afterAll(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('shows no block of commands that nothing runs', () => {
    const forTheCloud = [...blocks].filter(
      ([place, commands]) => place === FRONT_DOOR || OF_THE_CLOUD.test(commands.join('\n')),
    );
    const known = [...forTheCloud.map(([place]) => place), ...Object.keys(ELSEWHERE), ...Object.keys(RUN)];
    expect([...new Set(known)].sort()).toEqual([...blocks.keys()].sort());
  });

  it.each(Object.entries(RUN))(
    'can be typed as it is: %s',
    async (place, { prepare, words = {}, env, codes = {}, worker }) => {
      const commands = (blocks.get(place) ?? expect.fail()).map((command) =>
        Object.entries(words).reduce((text, [from, to]) => text.replaceAll(from, to), command),
      );
      scene = await createScene();
      if (worker) showOnFailure(await scene.startWorker());
      await prepare?.(scene, folder);
      const PATH = `${join(root, 'bin')}:${process.env.PATH ?? ''}`;
      const own = { IMAGEN_ROUTES_FILE: join(folder, 'routes.json'), PATH, ...(await env?.()) };
      const lines = commands.map((command) => (ENDLESS.test(command) ? `${ENDS_AFTER} ${command}` : command));
      const { codes: given, told } = await typed(lines, folder, { ...scene.env, ...own });
      const expected = commands.map((command) => {
        if (ENDLESS.test(command)) return 124;
        return Object.entries(codes).find(([start]) => command.startsWith(start))?.[1] ?? 0;
      });
      expect(
        given.map((code, i) => `${code} ${commands[i] ?? ''}`),
        told,
      ).toEqual(expected.map((code, i) => `${code} ${commands[i] ?? ''}`));
    },
    240_000,
  );
});
