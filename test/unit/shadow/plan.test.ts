import { describe, expect, it } from 'vitest';
import type { Completion, Step } from '../../../src/domain/completion.js';
import { parseJob } from '../../../src/domain/job.js';
import { shadowsOf } from '../../../src/shadow/plan.js';

const step = (model: string, servedVersion: string): Step => ({ model, servedVersion, plan: 'whole', requests: 1 });
const output = {
  ...{ uri: 'gs://out/a/result.png', generation: '7', contentType: 'image/png', bytes: 100 },
  ...{ width: 8, height: 8, crc32c: 'AAAAAA==' },
};

function done(operations: readonly unknown[], steps: readonly Step[], more: Partial<Completion> = {}) {
  const message = {
    ...{ jobId: 'a', operations, input: { uri: 'gs://in/a.png' }, output: { format: 'png' } },
    ...{ priority: 'interactive', tenant: 'shop', deadline: '2026-12-01T12:00:00Z', timeoutSeconds: 1 },
  };
  const completion: Completion = {
    ...{ schemaVersion: 1, eventId: 'e', jobId: 'a', status: 'succeeded', output },
    ...{ input: { uri: 'gs://in/a.png', generation: '5' }, steps: [...steps], ...more },
  };
  const inferenceSeconds = steps.map((_, index) => index + 1);
  return { job: parseJob(Buffer.from(JSON.stringify(message))), completion, inferenceSeconds };
}
const shadowed = (model: string) => (model === 'upscale' ? '2' : undefined);

describe('the shadows of a job', () => {
  it('do the same work with one version changed, and the others as they served', () => {
    const operations = ['background_remove', { model: 'upscale', parameters: { strength: 1 } }, 'upscale'];
    const steps = [step('background_remove', '4'), step('upscale', '1'), step('upscale', '1')];
    const [shadow, ...others] = shadowsOf(done(operations, steps), shadowed);
    expect(others).toEqual([]);
    expect(shadow).toMatchObject({ model: 'upscale', version: '2', servedVersion: '1', output, jobSeconds: 5 });
    expect(shadow?.job.operations).toEqual([
      { model: 'background_remove', version: '4' },
      { model: 'upscale', version: '2', parameters: { strength: 1 } },
      { model: 'upscale', version: '2' },
    ]);
    expect(shadow?.job.input).toEqual({ uri: 'gs://in/a.png', generation: '5' });
  });

  it('take nobody’s turn and have no time limit of their own', () => {
    const [shadow] = shadowsOf(done(['upscale'], [step('upscale', '1')]), shadowed);
    expect(shadow?.job).toEqual({
      ...{ jobId: 'a', priority: 'batch', output: { format: 'png' } },
      ...{ input: { uri: 'gs://in/a.png', generation: '5' }, operations: [{ model: 'upscale', version: '2' }] },
    });
  });

  it('are one for each model that has one', () => {
    const operations = ['enhance', 'upscale'];
    const found = shadowsOf(done(operations, [step('enhance', '1'), step('upscale', '1')]), () => '2');
    expect(found.map(({ model, jobSeconds }) => [model, jobSeconds])).toEqual([
      ['enhance', 1],
      ['upscale', 2],
    ]);
  });

  it.each([
    ['whose model has none', done(['enhance'], [step('enhance', '1')])],
    ['that the version itself has served', done(['upscale'], [step('upscale', '2')])],
    ['that the version has served in part, during a reload', done(['upscale'], [step('upscale', '1,2')])],
    ['whose steps are not known', done(['upscale'], [])],
    ['of no known generation', done(['upscale'], [step('upscale', '1')], { input: { uri: 'gs://in/a.png' } })],
  ])('are none for a job %s', (_, job) => {
    expect(shadowsOf(job, shadowed)).toEqual([]);
  });
});
