import { describe, expect, it } from 'vitest';
import { isJobId, parseJob } from '../../../src/domain/job.js';
import { arrivalOf, JOB_KEY, RESULT_KEY } from '../../../src/domain/notification.js';

const UPSCALE = JSON.stringify({ operations: ['upscale'], output: { prefix: 'gs://out/all' } });

/** As Google documents it. */
function notification({ attributes = {}, metadata, data }: Given = {}) {
  const resource = {
    ...{ kind: 'storage#object', id: 'in/cats/a.jpg/17', name: 'cats/a.jpg', bucket: 'in', generation: '17' },
    ...{ contentType: 'image/jpeg', size: '1024', md5Hash: '…', crc32c: '…', metadata },
  };
  return {
    data: data ?? Buffer.from(JSON.stringify(resource)),
    attributes: {
      notificationConfig: 'projects/_/buckets/in/notificationConfigs/3',
      ...{ eventType: 'OBJECT_FINALIZE', payloadFormat: 'JSON_API_V1', eventTime: '2026-11-27T12:00:00.000000Z' },
      ...{ bucketId: 'in', objectId: 'cats/a.jpg', objectGeneration: '17', overwroteGeneration: '16' },
      ...attributes,
    },
  };
}
interface Given {
  readonly attributes?: Record<string, string>;
  readonly metadata?: Record<string, string> | undefined;
  readonly data?: Buffer;
}

const arrive = (given?: Given) => arrivalOf(notification(given), 'gs://state/records');
function jobOf(given: Given) {
  const arrival = arrive(given);
  if (arrival.kind !== 'job') throw new Error(JSON.stringify(arrival));
  return { job: parseJob(arrival.published.data), attributes: arrival.published.attributes };
}

describe('a notification of a new object', () => {
  it('becomes the job that its configuration names', () => {
    const { job, attributes } = jobOf({ attributes: { [JOB_KEY]: UPSCALE, team: 'a' } });
    expect(job).toEqual({
      jobId: expect.stringMatching(/^gcs:in:17:[0-9a-f]{24}$/) as string,
      operations: [{ model: 'upscale' }],
      input: { uri: 'gs://in/cats/a.jpg', generation: '17' },
      output: { prefix: 'gs://out/all' },
      priority: 'batch',
    });
    expect(attributes).toEqual({ model: 'upscale', priority: 'batch', team: 'a' });
  });

  it("becomes the job that the object's own metadata names, whose fields go before", () => {
    const own = JSON.stringify({ operations: ['enhance'], priority: 'interactive' });
    expect(jobOf({ metadata: { [JOB_KEY]: own } }).job.operations).toEqual([{ model: 'enhance' }]);
    const { job, attributes } = jobOf({ attributes: { [JOB_KEY]: UPSCALE }, metadata: { [JOB_KEY]: own } });
    expect(job).toMatchObject({ operations: [{ model: 'enhance' }], output: { prefix: 'gs://out/all' } });
    expect(attributes).toEqual({ model: 'enhance', priority: 'interactive' });
  });

  it('is the same job when it comes twice, and another one when the object is overwritten', () => {
    const id = (given: Record<string, string>) => jobOf({ attributes: { [JOB_KEY]: UPSCALE, ...given } }).job.jobId;
    expect(id({ eventTime: 'later' })).toBe(id({}));
    const others = [{ objectGeneration: '18' }, { objectId: 'cats/b.jpg' }, { bucketId: 'in-2' }];
    expect(new Set([{}, ...others].map(id)).size).toBe(4);
  });

  it.each([
    'a b.jpg',
    'ünï/çödé 🐈.png',
    '"quoted" \\ #1?.jpg',
    `${'x'.repeat(1000)}.jpg`,
    '100%/%2e%2e.jpg',
    "it's;$(x).jpg",
  ])('takes the name %s as it is', (objectId) => {
    const { job } = jobOf({ attributes: { [JOB_KEY]: UPSCALE, objectId } });
    expect(job.input.uri).toBe(`gs://in/${objectId}`);
    expect(isJobId(job.jobId)).toBe(true);
  });

  it('has a valid id whatever the bucket is called', () => {
    const bucketId = `${'long.name-'.repeat(22)}x`;
    expect(isJobId(jobOf({ attributes: { [JOB_KEY]: UPSCALE, bucketId } }).job.jobId)).toBe(true);
  });
});

describe('what is no job', () => {
  const JOB = { [JOB_KEY]: UPSCALE };
  it.each([
    ['a deletion', { attributes: { ...JOB, eventType: 'OBJECT_DELETE' } }, 'no new object'],
    ['new metadata', { attributes: { ...JOB, eventType: 'OBJECT_METADATA_UPDATE' } }, 'no new object'],
    ['an archived version', { attributes: { ...JOB, eventType: 'OBJECT_ARCHIVE' } }, 'no new object'],
    ['a result', { attributes: JOB, metadata: { [RESULT_KEY]: 'a' } }, 'a result'],
    ['a folder', { attributes: { ...JOB, objectId: 'cats/' } }, 'a folder'],
    ['a record', { attributes: { ...JOB, bucketId: 'state', objectId: 'records/a.json' } }, 'a record'],
    ['an object without a job', { metadata: { other: 'x' } }, 'no job'],
    ['an object without metadata', {}, 'no job'],
  ] satisfies [string, Given, string][])('is ignored: %s', (_what, given, reason) => {
    expect(arrive(given)).toEqual({ kind: 'ignored', reason });
  });

  it('is another message as it was', () => {
    const published = { data: Buffer.from('{"jobId":"a"}'), attributes: { eventType: 'mine' } };
    expect(arrivalOf(published, 'gs://state')).toEqual({ kind: 'job', published });
  });
});

describe('a notification that is wrong', () => {
  it.each([
    [{ attributes: { [JOB_KEY]: UPSCALE, payloadFormat: 'NONE' } }, /payloadFormat: expected JSON_API_V1, given NONE/],
    [{ attributes: { [JOB_KEY]: UPSCALE }, data: Buffer.from('no') }, /resource: expected JSON, given no/],
    [{ attributes: { [JOB_KEY]: UPSCALE }, data: Buffer.from('[]') }, /expected a JSON object, given \[\]/],
    [{ attributes: { [JOB_KEY]: 'upscale' } }, /attribute imagen-job: expected JSON, given upscale/],
    [{ metadata: { [JOB_KEY]: '{"operations":["upscale"],"jobId":"x"}' } }, /metadata imagen-job: expected no jobId/],
    [{ metadata: { [JOB_KEY]: '{"input":{"uri":"gs://other/secret"}}' } }, /expected no input/],
    [{ attributes: { [JOB_KEY]: 'y'.repeat(900) } }, /y{200}…$/],
  ] satisfies [Given, RegExp][])('says what: %j', (given, message) => {
    const arrival = arrive(given);
    expect(arrival).toMatchObject({ kind: 'invalid', jobId: expect.stringMatching(/^gcs:in:17:/) as string });
    expect(arrival.kind === 'invalid' && arrival.error).toMatchObject({ code: 'INVALID_MESSAGE' });
    expect(arrival.kind === 'invalid' && arrival.error.message).toMatch(message);
  });

  it("is the parser's to refuse where fields of the job are wrong", () => {
    expect(() => jobOf({ attributes: { [JOB_KEY]: '{"operations":"upscale"}' } })).toThrow(/operations/);
    expect(() => jobOf({ attributes: { [JOB_KEY]: '{"output":{}}' } })).toThrow(/operations/);
  });
});
