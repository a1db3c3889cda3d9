import { describe, expect, it } from 'vitest';
import { readPicture } from '../../../src/client/picture.js';
import { prepare, type SubmitRequest } from '../../../src/client/request.js';
import { settingsFrom } from '../../../src/client/options.js';

const never = new AbortController().signal;
const request: SubmitRequest = { input: Buffer.from('\x89PNG', 'latin1'), name: 'front view.png', operations: ['x'] };

async function prepared(changes: Partial<SubmitRequest> = {}) {
  const all = { ...request, ...changes };
  return prepare(all, await readPicture(all.input, all.name, 1000, never), 'gs://uploads/in');
}

describe('a request', () => {
  it('becomes the message that the worker reads, with an id of its name and a hash', async () => {
    const { message, job, ownId } = await prepared({ output: { format: 'webp' }, priority: 'batch' });
    expect(message).toEqual({
      schemaVersion: 1,
      jobId: expect.stringMatching(/^front-view-[0-9a-f]{24}$/) as string,
      input: { uri: `gs://uploads/in/${message.jobId}/front view.png` },
      ...{ operations: ['x'], output: { format: 'webp' }, priority: 'batch' },
    });
    expect(job.operations).toEqual([{ model: 'x' }]);
    expect(ownId).toBe(true);
  });

  it('has the same id as long as it asks for the same picture', async () => {
    const id = async (changes?: Partial<SubmitRequest>) => (await prepared(changes)).message.jobId;
    const own = await id();
    // How and when it is done, and for whom, is not what it asks for.
    const same = [{}, { priority: 'interactive' as const }, { metadata: { a: 1 } }, { group: { id: 'g' } }];
    for (const changes of same) expect(await id(changes)).toBe(own);
    const others = [
      { input: Buffer.from('\x89PNG2', 'latin1') },
      { name: 'back.png' },
      { operations: ['y'] },
      { operations: [{ model: 'x', parameters: { s: 1 } }] },
      { output: { quality: 80 } },
      { input: 'gs://in/front view.png' },
      { input: 'gs://in/front view.png', generation: '7' },
    ];
    const ids = await Promise.all(others.map(id));
    expect(new Set([own, ...ids]).size).toBe(others.length + 1);
    expect(await id({ redriveOf: 'a' })).toBe('a~r1');
  });

  it('keeps a name that an object can have', async () => {
    const nameOf = async (name: string) => {
      const { message } = await prepared({ name, jobId: 'a' });
      return message.input.uri.replace('gs://uploads/in/a/', '');
    };
    expect(await nameOf('../../x.png')).toBe('x.png');
    expect(await nameOf('..')).toBe('picture');
    expect(await nameOf('a\nb\u0000.png')).toBe('a_b_.png');
    expect(await nameOf('ü'.repeat(300))).toBe('ü'.repeat(100));
    expect(await nameOf(`${'😀'.repeat(60)}x.png`)).toBe(`_${'😀'.repeat(47)}x.png`);
  });

  it('needs an upload prefix for a local picture', async () => {
    const picture = await readPicture(request.input, 'a.png', 1000, never);
    expect(() => prepare(request, picture, undefined)).toThrow(/expected gs:.*no upload prefix is set/);
  });
});

describe('the settings of a client', () => {
  it('are the options before the variables, and checked like those', () => {
    const env = { GOOGLE_CLOUD_PROJECT: 'p', IMAGEN_STATE_PREFIX: 'gs://state', IMAGEN_JOBS_TOPIC: 'jobs' };
    expect(settingsFrom({ env, projectId: 'mine', maxInputBytes: 5 })).toMatchObject({
      ...{ projectId: 'mine', statePrefix: 'gs://state', jobsTopic: 'jobs', maxInputBytes: 5, uploadPrefix: undefined },
    });
    expect(() => settingsFrom({ env, uploadPrefix: 'nowhere' })).toThrow(
      /uploadPrefix \(IMAGEN_UPLOAD_PREFIX\): expected gs:/,
    );
  });
});
