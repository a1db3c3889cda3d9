import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { startServer } from '../../scripts/dev/pubsub/server.js';
import type { Completion } from '../../src/domain/completion.js';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { runProgram } from '../support/program.js';
import { pythonWith, tritonPython } from '../support/python.js';
import { createScene, type Scene, showOnFailure, until } from '../support/scene.js';

const path = (name: string) => new URL(name, import.meta.url).pathname;
const INSTALL_MS = 180_000;

/** A program that knows Google's client and the message tables publishes two jobs and reads what became of them. */
async function runStrangersJobs(scene: Scene): Promise<void> {
  const python = await pythonWith('python-client', path('../../docs/examples/requirements.txt'));
  const picture = await sharp(readFileSync(path('../fixtures/photos/coffee.jpg')))
    .resize(200)
    .jpeg()
    .toBuffer();
  const uri = await scene.upload('coffee.jpg', picture);
  await scene.pubsub.topic(scene.env.IMAGEN_COMPLETIONS_TOPIC).createSubscription(`python-${scene.id}`);

  const args = [path('python/stranger.py'), scene.env.IMAGEN_JOBS_TOPIC, `python-${scene.id}`, uri];
  const { code, stdout, stderr } = await runProgram(python, args, scene.env);
  expect(code, stderr).toBe(0);
  const answers = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { completion: { jobId: string }; attributes: object });
  const of = (jobId: string) => answers.find(({ completion }) => completion.jobId === jobId);
  expect(of('python-1')).toMatchObject({
    completion: {
      status: 'succeeded',
      output: { contentType: 'image/webp', width: 100, height: 67 },
      steps: [{ model: 'style_aged' }, { model: 'style_comic', requestedVersion: '1', servedVersion: '1' }],
      metadata: { cart: 'abc', count: 3, nested: { ä: [1.5, null, true] } },
    },
    attributes: { jobId: 'python-1', status: 'succeeded', model: 'style_comic', schemaVersion: '1' },
  });
  expect(of('python-2')).toMatchObject({
    completion: { status: 'failed', error: { code: 'UNKNOWN_MODEL', stage: 'route', retryable: false } },
    attributes: { errorCode: 'UNKNOWN_MODEL' },
  });
}

describe('from Python', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await createScene({ IMAGEN_MODEL_WAIT_SECONDS: '1' });
    await scene.startWorker();
  });
  afterAll(() => scene.close());

  it("runs jobs with Google's client and nothing but the message tables", () => runStrangersJobs(scene), INSTALL_MS);

  it(
    'does so on the embedded Pub/Sub',
    async () => {
      const server = await startServer(0);
      const own = await createScene({ IMAGEN_MODEL_WAIT_SECONDS: '1', PUBSUB_EMULATOR_HOST: server.address });
      try {
        showOnFailure(await own.startWorker());
        await runStrangersJobs(own);
      } finally {
        await own.close();
        server.close();
      }
    },
    INSTALL_MS,
  );

  it(
    'publishes pictures and waits for them with the examples, and does each once',
    async () => {
      const python = await pythonWith('python-client', path('../../docs/examples/requirements.txt'));
      const example = (name: string, ...args: string[]) =>
        runProgram(python, [path(`../../docs/examples/${name}`), ...args], scene.env);
      const photos = ['coffee.jpg', 'chelsea.jpg'].map((name) => path(`../fixtures/photos/${name}`));
      const publish = () => example('publish.py', '--operation', 'style_aged', ...photos);
      const [first, second] = [await publish(), await publish()];
      expect(first.code, first.stderr).toBe(0);
      const ids = first.stdout.trim().split('\n');
      expect(ids).toEqual([
        expect.stringMatching(/^coffee-[0-9a-f]{24}$/),
        expect.stringMatching(/^chelsea-[0-9a-f]{24}$/),
      ]);
      expect(second).toMatchObject({ code: 0, stdout: first.stdout });
      const waited = await example('wait.py', ...ids);
      expect(waited.code, waited.stderr).toBe(0);
      const ends = waited.stdout.trim().split('\n');
      expect(ends.map((line) => JSON.parse(line) as Completion)).toMatchObject([
        { status: 'succeeded' },
        { status: 'succeeded' },
      ]);
      // The second messages are answered with the same outcome.
      for (const [i, id] of ids.entries()) {
        const told = await scene.completions(2, id);
        expect(JSON.parse(ends[i] ?? '')).toEqual(told[0]?.completion);
        expect(new Set(told.map(({ body }) => body)).size).toBe(1);
      }
      const never = await example('wait.py', 'nobody', '--timeout', '0.1');
      expect(never).toMatchObject({ code: 1, stderr: expect.stringContaining('no outcome of nobody') as string });
    },
    INSTALL_MS,
  );

  it(
    'does again with an example what has failed, and nothing twice',
    async () => {
      const python = await pythonWith('python-client', path('../../docs/examples/requirements.txt'));
      const redrive = (...ids: string[]) =>
        runProgram(python, [path('../../docs/examples/redrive.py'), ...ids], scene.env);
      const uri = `gs://uploads-${scene.id}/late.jpg`;
      const deadline = new Date(Date.now() + 5_000).toISOString();
      await scene.publish({ jobId: 'late', operations: ['style_aged'], input: { uri }, deadline });
      const [{ completion } = expect.fail()] = await scene.completions(1, 'late');
      expect(completion.error?.code).toBe('INPUT_NOT_FOUND');
      await scene.upload('late.jpg', readFileSync(path('../fixtures/photos/coffee.jpg')));
      await until(() => Date.now() > Date.parse(deadline), 10_000);

      expect(await redrive('late')).toMatchObject({ code: 0, stdout: 'late~r1\n' });
      const [{ completion: again } = expect.fail()] = await scene.completions(1, 'late~r1');
      expect(again).toMatchObject({ status: 'succeeded', redriveOf: 'late' });
      for (const id of ['late', 'late~r1']) {
        const { code, stdout, stderr } = await redrive(id);
        expect({ code, stdout, stderr: stderr.trim() }).toEqual({ code: 0, stdout: '', stderr: 'late: has succeeded' });
      }
      expect(await redrive('nobody')).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('nobody: has not ended') as string,
      });
      expect(await scene.completions(1, 'late~r1')).toHaveLength(1);
    },
    INSTALL_MS,
  );

  // It compiles Google's clients, which takes minutes on two processors.
  it.runIf(process.env.IMAGEN_TEST_GO)(
    'publishes pictures from Go, and does each once',
    async () => {
      const photos = ['coffee.jpg', 'chelsea.jpg'].map((name) => path(`../fixtures/photos/${name}`));
      const args = ['run', '-C', path('../../docs/examples/go'), '.', '-operation', 'style_comic', ...photos];
      const [first, second] = [await runProgram('go', args, scene.env), await runProgram('go', args, scene.env)];
      expect(first.code, first.stderr).toBe(0);
      const ids = first.stdout.trim().split('\n').sort();
      expect(ids).toEqual(
        ['chelsea', 'coffee'].map((name) => expect.stringMatching(`^${name}-[0-9a-f]{24}$`) as string),
      );
      expect(second.stdout.trim().split('\n').sort()).toEqual(ids);
      for (const id of ids) {
        const told = await scene.completions(2, id);
        expect(told[0]?.completion.status).toBe('succeeded');
        expect(new Set(told.map(({ body }) => body)).size).toBe(1);
      }
    },
    3 * INSTALL_MS,
  );

  it(
    "finds every model and version well with Triton's own test client",
    async () => {
      const args = [
        path('../../triton/scripts/test_client.py'),
        '--models',
        'upscale,enhance,background_remove,style_comic,style_aged',
      ];
      const { code, stdout, stderr } = await runProgram(tritonPython, args, scene.env);
      expect(code, stdout + stderr).toBe(0);
      for (const model of ['upscale', 'enhance', 'background_remove', 'style_comic', 'style_aged'])
        expect(stdout).toContain(model);
    },
    INSTALL_MS,
  );

  it('has a test client that fails when there is nobody to ask', async () => {
    const args = [path('../../triton/scripts/test_client.py'), '--url', '127.0.0.1:9'];
    expect((await runProgram(tritonPython, args, scene.env)).code).not.toBe(0);
  });

  it(
    'passes the unit tests of what builds the models',
    async () => {
      const args = ['-m', 'unittest', 'discover', '-s', path('../../triton/tests')];
      const { code, stderr } = await runProgram(tritonPython, args, scene.env);
      expect(code, stderr).toBe(0);
    },
    INSTALL_MS,
  );
});

describe("Triton's HTTP endpoint", () => {
  const { ports } = inject('stack');

  it('answers as triton/README.md says', async () => {
    const base = `http://127.0.0.1:${ports.tritonHttp}/v2`;
    expect((await fetch(`${base}/health/ready`)).status).toBe(200);
    expect(await (await fetch(`${base}/models/upscale`)).json()).toMatchObject({
      name: 'upscale',
      versions: ['1', '2'],
      inputs: [{ name: 'image', datatype: 'UINT8', shape: [-1, -1, -1, 3] }],
    });
  });
});
