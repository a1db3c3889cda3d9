import { expect, it } from 'vitest';
import { type NotifyFlags, wantedNotification } from '../../../src/cli/notify.js';

const config = {
  ...{ projectId: 'p', jobsTopic: 'imagen-jobs', storageEmulator: undefined },
  ...{ statePrefix: 'gs://state/records', uploadPrefix: 'gs://uploads' },
};
const wanted = (flags: NotifyFlags, more: Partial<typeof config> = {}) =>
  wantedNotification({ ...config, ...more }, flags);

it('names the bucket, the prefix and the job', () => {
  expect(wanted({ notify: 'gs://in/cats', operation: ['upscale', 'enhance@2'], outputPrefix: 'gs://out' })).toEqual({
    ...{ bucket: 'in', objectPrefix: 'cats/', topic: 'projects/p/topics/imagen-jobs' },
    attributes: {
      'imagen-job': '{"operations":["upscale",{"model":"enhance","version":"2"}],"output":{"prefix":"gs://out"}}',
      ...{ model: 'upscale', priority: 'batch' },
    },
  });
  expect(wanted({ notify: 'gs://in', operation: ['upscale'] })).toMatchObject({ bucket: 'in', objectPrefix: '' });
  expect(wanted({})).toBeUndefined();
});

it.each([
  [{ notify: 'in', operation: ['upscale'] }, /--notify: expected gs:/],
  [{ notify: 'gs://in' }, /expected --operation/],
  [{ operation: ['upscale'] }, /expected with --notify/],
  [{ outputPrefix: 'gs://out' }, /expected with --notify/],
  [{ notify: 'gs://in', operation: ['up scale'] }, /operations/],
  [{ notify: 'gs://in', operation: ['upscale'], outputPrefix: 'out' }, /output\.prefix: expected gs:/],
  [{ notify: 'gs://state', operation: ['upscale'] }, /apart from IMAGEN_STATE_PREFIX/],
  [{ notify: 'gs://state/records/of', operation: ['upscale'] }, /apart from IMAGEN_STATE_PREFIX/],
  [{ notify: 'gs://uploads/in', operation: ['upscale'] }, /apart from IMAGEN_UPLOAD_PREFIX/],
  [{ notify: 'gs://in', operation: Array(9).fill('upscale') as string[] }, /operations/],
])('refuses %j', (flags, message) => {
  expect(() => wanted(flags)).toThrow(message);
});

it('refuses an emulator, which has no notifications by bucket', () => {
  const emulator = { storageEmulator: 'http://127.0.0.1:1' } as object;
  expect(() => wanted({ notify: 'gs://in', operation: ['upscale'] }, emulator)).toThrow(/emulator/);
});
