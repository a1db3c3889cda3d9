import { describe, expect, it } from 'vitest';
import { ConfigError, readConfig, SETTINGS, unknownVariables, WORKER_SETTINGS } from '../../../src/config/index.js';

const env = {
  GOOGLE_CLOUD_PROJECT: 'p',
  TRITON_URL: 'localhost:8001',
  IMAGEN_OUTPUT_PREFIX: 'gs://results/',
  IMAGEN_STATE_PREFIX: 'gs://state/records',
};

describe('readConfig', () => {
  it('reads a minimal environment and fills in defaults', () => {
    const config = readConfig(env, WORKER_SETTINGS);
    expect(config).toMatchObject({ maxAttempts: 5, drainSeconds: 25, allowedInputs: [], tritonTransport: 'auto' });
    expect(config.jobsSubscriptions).toEqual([{ name: 'imagen-jobs-worker' }]);
    expect(config.pubsubEmulator).toBeUndefined();
  });

  it('names every wrong variable at once, with what was expected and what was given', () => {
    const bad = {
      ...env,
      GOOGLE_CLOUD_PROJECT: '',
      IMAGEN_MAX_ATTEMPTS: '0',
      IMAGEN_TRITON_TRANSPORT: 'pigeon',
      IMAGEN_ALLOWED_INPUTS: 's3://x',
      IMAGEN_JOBS_SUBSCRIPTIONS: 'a=0',
    };
    let problems: readonly string[] = [];
    try {
      readConfig(bad, WORKER_SETTINGS);
    } catch (error) {
      ({ problems } = error as ConfigError);
    }
    expect(problems).toHaveLength(5);
    expect(problems).toContainEqual('IMAGEN_MAX_ATTEMPTS: expected a whole number from 1 to 95, given "0"');
    expect(problems).toContainEqual(
      'IMAGEN_TRITON_TRANSPORT: expected one of auto, unary, stream, shm, given "pigeon"',
    );
    expect(problems.find((problem) => problem.startsWith('GOOGLE_CLOUD_PROJECT'))).toMatch(/expected .*given nothing/);
  });

  it('reads weighted subscriptions', () => {
    const config = readConfig({ IMAGEN_JOBS_SUBSCRIPTIONS: 'fast=3, slow' }, ['jobsSubscriptions']);
    expect(config.jobsSubscriptions).toEqual([{ name: 'fast', weight: 3 }, { name: 'slow' }]);
  });

  it('refuses a subscription that is named twice', () => {
    const twice = { IMAGEN_JOBS_SUBSCRIPTIONS: 'fast=3,slow,fast' };
    expect(() => readConfig(twice, ['jobsSubscriptions'])).toThrow(/expected each subscription once, given "fast=3/);
  });

  it.each([
    ['IMAGEN_COMPLETIONS_TOPIC', { IMAGEN_COMPLETIONS_TOPIC: 'imagen-jobs' }, 'IMAGEN_JOBS_TOPIC'],
    ['IMAGEN_COMPLETIONS_TOPIC', { IMAGEN_JOBS_TOPIC: 'imagen-completions' }, 'IMAGEN_JOBS_TOPIC'],
    ['IMAGEN_DEAD_LETTER_TOPIC', { IMAGEN_DEAD_LETTER_TOPIC: 'imagen-jobs' }, 'IMAGEN_JOBS_TOPIC'],
    ['IMAGEN_DEAD_LETTER_TOPIC', { IMAGEN_DEAD_LETTER_TOPIC: 'imagen-completions' }, 'IMAGEN_COMPLETIONS_TOPIC'],
  ])('refuses in %s a topic that has another task, given %o', (wrong, given, other) => {
    const problem = new RegExp(`${wrong}: expected a topic of its own, given "imagen-\\w+", which is ${other} too`);
    expect(() => readConfig({ ...env, ...given }, WORKER_SETTINGS)).toThrow(problem);
  });

  it('refuses records that a job could overwrite or read', () => {
    const open = { ...env, IMAGEN_ALLOWED_OUTPUTS: 'gs://results,gs://state' };
    expect(() => readConfig(open, WORKER_SETTINGS)).toThrow(/IMAGEN_STATE_PREFIX: .*gs:\/\/state/);
  });
});

describe('unknownVariables', () => {
  it('finds slips of the pen and leaves the scripts their own', () => {
    expect(unknownVariables({ ...env, IMAGEN_DRAIN_SECOND: '3', IMAGEN_STACK_DIR: 'x' })).toEqual([
      'IMAGEN_DRAIN_SECOND',
    ]);
  });

  it('knows names that are told apart', () => {
    const names = Object.values(SETTINGS).map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });
});
