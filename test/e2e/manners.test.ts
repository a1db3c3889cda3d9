/** Every command of a reader of jobs: its help, wrong uses, and services that are away or not set up. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../support/program.js';
import { CLI, createScene, type Scene } from '../support/scene.js';

const NOTHING = { IMAGEN_STATE_PREFIX: 'gs://nowhere-to-be-found/records' };
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

  it.each(['status', 'jobs list', 'jobs show', 'redrive', 'watch', 'dead-letters list', 'dead-letters purge', 'setup'])(
    '%s --help has examples and exit codes',
    async (command) => {
      const { code, stdout } = await run([...command.split(' '), '--help']);
      expect(stdout).toMatch(/Examples:\n {2}imagen [\s\S]*Exit codes:\n {2}0 {2}done[\s\S]* {2}2 {2}wrong call/);
      expect(stdout).toContain('--json');
      expect(code).toBe(0);
    },
  );

  it.each([
    ['status', /missing required argument/],
    ['status ../x', /Expected a job id/],
    ['jobs list --status done', /Expected one of succeeded, failed, expired, canceled; given done/],
    ['jobs list --code NONE', /Expected one of INVALID_MESSAGE, .*; given NONE/],
    ['jobs list --since yesterday', /Expected a time such as/],
    ['jobs list --limit 0', /Expected a whole number from 1/],
    ['jobs list --prefix /', /Expected the beginning of a job id/],
    ['jobs show', /missing required argument/],
    ['redrive', /expected ids of jobs, or a filter/],
    ['redrive a --status failed', /expected either ids of jobs or a filter, given both/],
    ['redrive a --deadline soon', /--deadline: expected a time/],
    ['redrive --dead-letters --group g', /--dead-letters: expected no ids/],
    ['watch --limit many', /Expected a whole number/],
    ['watch now', /too many arguments/],
    ['dead-letters purge', /expected either ids, or a filter/],
    ['dead-letters purge a --all', /expected either ids, or a filter/],
    ['completion csh', /Allowed choices are bash, zsh, fish/],
  ])('exits with 2 for `%s`', async (line, message) => {
    const { code, stdout, stderr } = await run(line.split(' '));
    expect(stderr).toMatch(message);
    expect([code, stdout]).toEqual([2, '']);
  });

  it.each([
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
