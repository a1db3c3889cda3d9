/** Wrong calls of the publisher's library. Nothing is opened: there is no Pub/Sub and no storage at these addresses. */
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { type Client, ConfigError, createClient, type Outcome, type SubmitRequest } from '../../../src/client/index.js';

const env = {
  ...{ GOOGLE_CLOUD_PROJECT: 'p', PUBSUB_EMULATOR_HOST: '127.0.0.1:9', STORAGE_EMULATOR_HOST: 'http://127.0.0.1:9' },
  ...{ IMAGEN_STATE_PREFIX: 'gs://state/r', IMAGEN_UPLOAD_PREFIX: 'gs://uploads/in' },
};
/** As a program in JavaScript sees it. */
type Untyped = Readonly<Record<keyof Client, (...given: unknown[]) => unknown>>;
const typed = createClient({ env });
const client = typed as unknown as Untyped;
const request = { input: 'gs://in/a.jpg', operations: ['enhance'] };

/** The error of a call, whether it throws or rejects. */
async function errorOf(call: () => unknown): Promise<unknown> {
  try {
    await call();
    return undefined;
  } catch (thrown) {
    return thrown;
  }
}

async function outcomesOf(requests: readonly unknown[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for await (const outcome of typed.submitAll(requests as SubmitRequest[])) outcomes.push(outcome);
  return outcomes;
}

describe('the functions of a client', () => {
  const wrong: [string, RegExp, () => unknown][] = [
    ...[0, -1, NaN, 1.5, Infinity, '5', null, 1_000_001].map((window): [string, RegExp, () => unknown] => [
      `submitAll with window ${String(window)}`,
      /^options\.window: expected a whole number from 1 to 1000000, given /,
      () => client.submitAll([], { window }),
    ]),
    [
      'submitAll with no uploads',
      /^options\.uploads: expected a whole number from 1 to 1000, given 0$/,
      () => client.submitAll([request], { uploads: 0 }),
    ],
    [
      'an option that does not exist',
      /^options\.uplaods: unknown option: is it uploads\?$/,
      () => client.submitAll([], { uplaods: 3 }),
    ],
    ['options that are none', /^options: expected an object, given 5$/, () => client.submit(request, 5)],
    [
      'a signal that is none',
      /^options\.signal: expected an AbortSignal, given \{\}$/,
      () => client.waitFor('a', { signal: {} }),
    ],
    [
      'a callback that is none',
      /^options\.onPause: expected a function, given 1$/,
      () => client.waitFor('a', { onPause: 1 }),
    ],
    [
      'requests as a path',
      /^requests: expected an iterable of requests, given "s\.jpg"$/,
      () => client.submitAll('s.jpg'),
    ],
    ['a single request', /^requests: expected an iterable/, () => client.submitAll(request)],
    ['bytes as requests', /^requests: expected an iterable.*3 bytes/, () => client.submitAll(Buffer.from('abc'))],
    ['waitFor of no id', /^job: expected a job id, given "bäd"$/, () => client.waitFor('bäd')],
    [
      'waitFor of a promise',
      /^job\.jobId: expected a job id, given a undefined/,
      () => client.waitFor(Promise.resolve()),
    ],
    ['status of no id', /^jobId: expected a job id, given "\.\.\/x"$/, () => client.status('../x')],
    ['cancel of no id', /^jobId: expected a job id, given ""$/, () => client.cancel('')],
    ['redrive of no id', /^job: expected a job id, given null$/, () => client.redrive(null)],
    [
      'redrive with a wrong request',
      /^job\.request: expected a message that was published/,
      () => client.redrive({ jobId: 'a', request: { message: {} } }),
    ],
    [
      'redrive with a deadline in the past',
      /^options\.deadline: expected a time to come/,
      () => client.redrive('a', { deadline: '2020-01-01T00:00:00Z' }),
    ],
    ['redriveAll without a filter', /^filter: expected an object, given nothing$/, () => client.redriveAll()],
    ['download of nothing', /^job: expected a job id, given null$/, () => client.download(null)],
    ['a group without a total', /^group\.total: expected /, () => client.waitForGroup({ id: 'g' })],
    ['a group with an impossible id', /^group\.id: expected /, () => client.waitForGroup({ id: 'g/h', total: 1 })],
    [
      'an impossible prefix',
      /^filter\.prefix: expected the beginning of a job id/,
      () => client.jobs({ prefix: '../' }),
    ],
    [
      'an unknown status',
      /^filter\.status\.0: expected one of succeeded, .*"bad"$/,
      () => client.jobs({ status: ['bad'] }),
    ],
    [
      'an unknown code',
      /^filter\.code\.0: expected one of .*"NO_CODE"$/,
      () => client.countJobs({ code: ['NO_CODE'] }),
    ],
    ['a time that is none', /^filter\.since: expected a date/, () => client.jobs({ since: new Date('x') })],
    [
      'a filter that does not exist',
      /^filter\.stauts: unknown option: is it status\?$/,
      () => client.jobs({ stauts: [] }),
    ],
  ];
  it.each(wrong)('refuse %s at once', async (_, message, call) => {
    expect(await errorOf(call)).toMatchObject({
      ...{ name: 'ClientError', code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) as string },
    });
  });

  it('take ids of jobs and of redrives, and every option that is documented', () => {
    const { signal } = new AbortController();
    const none = () => undefined;
    expect(() => {
      typed.submitAll([], { signal, uploads: 1, window: 1, wait: false, republish: true, onProgress: none });
      typed.jobs({ status: ['failed'], code: ['INTERNAL'], since: new Date(), prefix: 'a~r' }, { after: 'a~r1' });
      typed.jobs({ status: undefined, group: undefined }, { signal, skip: () => true, onUnreadable: none });
      typed.redriveAll({ group: 'g' }, { dryRun: true, force: false, deadline: undefined });
    }).not.toThrow();
  });
});

const cycle: Record<string, unknown> = {};
cycle.self = cycle;

const wrongRequests: [string, unknown, string, RegExp][] = [
  ['null', null, 'INVALID_MESSAGE', /^expected a request with input and operations, given null$/],
  ['a path', 's.jpg', 'INVALID_MESSAGE', /^expected a request .*"s\.jpg"$/],
  ['no input', { operations: ['x'] }, 'INVALID_MESSAGE', /^input: expected a path.*given nothing$/],
  ['a number as input', { ...request, input: 7 }, 'INVALID_MESSAGE', /^input: .*given 7$/],
  ['no operations', { input: 'gs://in/a.jpg' }, 'INVALID_MESSAGE', /^operations: expected/],
  ['a name that is none', { ...request, name: 5 }, 'INVALID_MESSAGE', /^name: expected a text, given 5$/],
  [
    'attributes that are no texts',
    { ...request, attributes: { a: 1 } },
    'INVALID_MESSAGE',
    /^attributes\.a: expected a text/,
  ],
  ['cyclic metadata', { ...request, metadata: cycle }, 'INVALID_MESSAGE', /^metadata: .*circular/],
  ['a BigInt in the metadata', { ...request, metadata: { n: 1n } }, 'INVALID_MESSAGE', /^metadata: .*BigInt/],
  ['a cycle in an operation', { ...request, operations: [cycle] }, 'INVALID_MESSAGE', /^operations: .*circular/],
  [
    'a stream of texts',
    { ...request, input: Readable.from(['text']) },
    'INPUT_UNREADABLE',
    /^picture: expected a stream of bytes, given "text": open it without an encoding$/,
  ],
];

describe('a request that is wrong', () => {
  it.each(wrongRequests)('with %s is refused by submit', async (_, given, code, message) => {
    if ((given as { input?: unknown } | null)?.input instanceof Readable) return; // it can be read once
    const error = await errorOf(() => client.submit(given));
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) as string });
  });

  it('is refused alone by submitAll', async () => {
    const outcomes = await outcomesOf(wrongRequests.map(([, given]) => given));
    expect(outcomes.map((one) => (one.kind === 'refused' ? one.error.code : one.kind)).sort()).toEqual(
      wrongRequests.map(([, , code]) => code).sort(),
    );
  });

  it('has a stream that fails, which is the cause of the error', async () => {
    const cause = new Error('the disk is gone');
    const failing = new Readable({ read: () => failing.destroy(cause) });
    const error = await errorOf(() => typed.submit({ input: failing, name: 'a.png', operations: ['x'] }));
    expect(error).toMatchObject({
      ...{ name: 'ClientError', code: 'INPUT_UNREADABLE', cause },
      message: 'a.png: its stream failed: the disk is gone',
    });
  });
});

describe('a group with a total', () => {
  const member = (n: number, total: number) => ({ input: `${n}.jpg`, operations: ['x'], group: { id: 'g', total } });
  const all = (requests: readonly unknown[]) => errorOf(() => client.submitAll(requests));

  it('is refused before the work when more different requests name it', async () => {
    expect(await all([member(1, 2), member(2, 2), member(3, 2)])).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'requests: the total of group g is 2, and 3 different requests name it: expected at most 2',
    });
  });

  it('takes the same request twice, redrives of a job, equal bytes, and requests that are wrong', async () => {
    const bytes = () => ({ ...member(1, 2), input: Buffer.from('same') });
    const redriven = { ...member(1, 2), jobId: 'a~r1', redriveOf: 'a' };
    expect(await all([member(1, 2), member(2, 2), member(1, 2)])).toBeUndefined();
    expect(await all([bytes(), bytes(), bytes()])).toBeUndefined();
    expect(await all([redriven, { ...redriven, jobId: 'a~r2' }, { ...member(3, 2), jobId: 'a' }])).toBeUndefined();
    expect(await all([null, { group: { id: 'g', total: 1 } }, member(1, 1)])).toBeUndefined();
  });
});

describe('the options of createClient', () => {
  it.each([
    [{ env, proejctId: 'p' }, /^ {2}proejctId: unknown option: is it projectId\?$/m],
    [{ env, statePrefix: 'foo' }, /^ {2}statePrefix \(IMAGEN_STATE_PREFIX\): expected gs:.*"foo"$/m],
    [{ env, maxInputBytes: NaN }, /^ {2}maxInputBytes \(IMAGEN_MAX_INPUT_BYTES\): expected .*NaN/m],
    [{ env, projectId: 5 }, /^ {2}projectId: expected a text, given 5$/m],
    [null, /expected an object, given null/],
  ])('name what is wrong in %j', async (options, message) => {
    const error = await errorOf(() => createClient(options as never));
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as Error).message).toMatch(message);
  });
});
