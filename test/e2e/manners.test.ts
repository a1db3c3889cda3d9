/** What commands say when a service is away or was not set up. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../support/program.js';
import { CLI, createScene, type Scene } from '../support/scene.js';

const NOTHING = { IMAGEN_STATE_PREFIX: 'gs://nowhere-to-be-found/records' };
const NO_UPLOADS = { IMAGEN_UPLOAD_PREFIX: 'gs://nowhere-to-be-found/uploads' };
const NO_TRITON = { TRITON_URL: '127.0.0.1:9' };
const FOLDER = new URL('../fixtures/photos', import.meta.url).pathname;
const PHOTO = `${FOLDER}/chelsea.jpg`;
const GONE = { PUBSUB_EMULATOR_HOST: '127.0.0.1:9', STORAGE_EMULATOR_HOST: 'http://127.0.0.1:9' };

describe('manners', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await createScene();
  });
  afterAll(() => scene.close());

  const run = async (args: readonly string[], more: Readonly<Record<string, string>> = {}) => {
    const startedAt = Date.now();
    const finished = await runProgram(process.execPath, [CLI, ...args], { ...scene.env, ...more });
    expect(finished.stderr).not.toMatch(/\n {4}at /);
    return { ...finished, tookMs: Date.now() - startedAt };
  };

  it.each([
    [`submit ${PHOTO} -p style_aged`, NO_UPLOADS, /no bucket nowhere-to-be-found: create it with `imagen setup`/],
    [`submit ${FOLDER} -p style_aged`, NO_UPLOADS, /no bucket nowhere-to-be-found: create it with `imagen setup`/],
    [`submit ${PHOTO} -p style_aged`, GONE, /cannot be used: start it, or mend (PUBSUB|STORAGE)_EMULATOR_HOST/],
    ['cancel a', NOTHING, /no bucket nowhere-to-be-found: create it with `imagen setup`/],
    ['cancel a', GONE, /cannot be used: start it, or mend STORAGE_EMULATOR_HOST/],
    ['redrive a', { PUBSUB_EMULATOR_HOST: '127.0.0.1:9' }, /Pub\/Sub's emulator at 127\.0\.0\.1:9 cannot be used/],
    ['jobs show a', GONE, /cannot be used: start it, or mend STORAGE_EMULATOR_HOST/],
    ['dead-letters show a', GONE, /Pub\/Sub's emulator at 127\.0\.0\.1:9 cannot be used: start it/],
    ['dead-letters purge a', GONE, /Pub\/Sub's emulator at 127\.0\.0\.1:9 cannot be used: start it/],
    ['models', NO_TRITON, /Triton at 127\.0\.0\.1:9 does not answer: start it, or mend TRITON_URL/],
    ['capacity', NO_TRITON, /Triton at 127\.0\.0\.1:9 does not answer: start it, or mend TRITON_URL/],
    [`process ${PHOTO} -p style_aged -o -`, NO_TRITON, /does not answer: start it, or mend TRITON_URL/],
    [`process ${FOLDER} -p style_aged --out /tmp/x`, NO_TRITON, /does not answer: start it, or mend TRITON_URL/],
    ['status a', NOTHING, /no bucket nowhere-to-be-found: create it with `imagen setup`/],
    ['jobs list', NOTHING, /no bucket nowhere-to-be-found: create it with `imagen setup`/],
    ['redrive a', NOTHING, /no bucket nowhere-to-be-found: create it with `imagen setup`/],
    ['status a', GONE, /emulator at http:\/\/127\.0\.0\.1:9 cannot be used: start it, or mend STORAGE_EMULATOR_HOST/],
    ['setup', GONE, /cannot be used: start it, or mend (PUBSUB|STORAGE)_EMULATOR_HOST/],
    ['setup --dry-run', GONE, /cannot be used: start it, or mend (PUBSUB|STORAGE)_EMULATOR_HOST/],
    ['watch', GONE, /Pub\/Sub's emulator at 127\.0\.0\.1:9 cannot be used: start it/],
    ['dead-letters list', GONE, /Pub\/Sub's emulator at 127\.0\.0\.1:9 cannot be used: start it/],
    ['watch', { IMAGEN_COMPLETIONS_TOPIC: 'nope' }, /no topic nope in project .*: create it with `imagen setup`/],
    ['dead-letters list', { IMAGEN_DEAD_LETTER_SUBSCRIPTION: 'nope' }, /no subscription nope in project .*setup/],
  ] as const)('`%s` says within seconds what is missing (%j)', async (line, more, message) => {
    const { code, stderr, tookMs } = await run(line.split(' '), more);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect([code, tookMs < 12_000]).toEqual([1, true]);
  });

  it('setup says that nothing reads completions, until something does', async () => {
    const bare = { IMAGEN_COMPLETIONS_TOPIC: `unread-${scene.id}` };
    expect((await run(['setup'], bare)).stderr).toContain('imagen setup --completions-subscription NAME');
    expect((await run(['setup', '--completions-subscription', `read-${scene.id}`], bare)).stderr).not.toContain(
      'note:',
    );
    const again = await run(['setup', '--json'], bare);
    expect(again.stderr).not.toContain('note:');
    expect(
      (JSON.parse(again.stdout) as { steps: { todo: string }[] }).steps.every(({ todo }) => todo === 'nothing'),
    ).toBe(true);
  });

  it.each(['bash', 'zsh', 'fish'])('completes commands and options in %s', async (shell) => {
    const { code, stdout } = await run(['completion', shell]);
    expect(code).toBe(0);
    for (const word of ['dead-letters', 'redrive', shell === 'fish' ? 'dry-run' : '--dry-run'])
      expect(stdout).toContain(word);
  });
});
