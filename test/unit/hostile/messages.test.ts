/** Messages and addresses that mean harm: each ends as a job or with a code, soon, and reaches nothing it may not. */
import { describe, expect, it } from 'vitest';
import { completionBytes, completionSchema } from '../../../src/domain/completion.js';
import { JobError } from '../../../src/domain/errors.js';
import { fingerprint } from '../../../src/domain/fingerprint.js';
import { isJobId, type Job, parseJob, salvage } from '../../../src/domain/job.js';
import { isPermitted, type ObjectRef, objectUri } from '../../../src/domain/uri.js';
import { fetchInput } from '../../../src/pipeline/fetch.js';
import { FORMATS } from '../../../src/pipeline/formats/index.js';
import { chooseTarget } from '../../../src/pipeline/target.js';
import type { ObjectStore } from '../../../src/domain/ports.js';
import { completionOfUnreadable } from '../../../src/worker/complete.js';
import { deadLetterAttributes } from '../../../src/worker/dead-letter.js';
import { flipped, rearranged, truncated } from '../../support/hostile/mutations.js';
import { random } from '../../support/hostile/random.js';
import { memoryStore } from '../../support/memory-store.js';

const valid = {
  schemaVersion: 1,
  jobId: 'order-8841.front',
  operations: ['background_remove', { model: 'upscale', version: '2', parameters: { strength: 0.8 } }],
  input: { uri: 'gs://in/8841/front.jpg', generation: '1763856000000000' },
  output: { prefix: 'gs://out/8841/', format: 'webp', quality: 90 },
  deadline: '2026-12-01T12:00:00Z',
  timeoutSeconds: 60,
  metadata: { cart: 'abc' },
};
const text = JSON.stringify(valid);
const nested = (depth: number, open: string, close: string) => open.repeat(depth) + close.repeat(depth);
const withField = (field: string, json: string) => `${text.slice(0, -1)},${JSON.stringify(field)}:${json}}`;
const DEPTHS = [100, 1000, 3000, 5000, 8000, 12_000, 16_000, 30_000];

/** What may come of a message. Anything else that is thrown fails the test. */
function read(data: Buffer): Job | JobError {
  try {
    return parseJob(data);
  } catch (error) {
    if (error instanceof JobError) return error;
    throw error;
  }
}

/** The way of a message that cannot be read: none of its parts may fail, for nothing else would tell of it. */
function mustEndVisibly(data: Buffer): Job | JobError {
  const startedAt = performance.now();
  const end = read(data);
  const salvaged = salvage(data);
  expect(salvaged.jobId === undefined || isJobId(salvaged.jobId)).toBe(true);
  expect(salvaged.givenJobId ?? '').not.toMatch(/\p{Surrogate}/u);
  if (end instanceof JobError) {
    expect(['INVALID_MESSAGE', 'UNSUPPORTED_SCHEMA']).toContain(end.code);
    const delivery = { messageId: '1', data, attributes: {}, attempt: 1, publishedAt: new Date(0) };
    const completion = completionOfUnreadable(delivery, salvaged, end);
    expect(completionSchema.safeParse(JSON.parse(completionBytes(completion).toString())).error).toBeUndefined();
    for (const value of Object.values(deadLetterAttributes(delivery, completion))) {
      expect(Buffer.byteLength(value)).toBeLessThanOrEqual(1024);
      expect(value).not.toMatch(/\p{Surrogate}/u);
    }
  } else {
    expect(fingerprint(end)).toMatch(/^[0-9a-f]{64}$/);
  }
  expect(performance.now() - startedAt).toBeLessThan(1000);
  return end;
}

describe('a hostile message', () => {
  it.each<[string, string | Buffer]>([
    ['nothing', ''],
    ['NUL', '\0'],
    ['a byte order mark before it', Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text)])],
    ['UTF-16', Buffer.from(text, 'utf16le')],
    ['invalid UTF-8', Buffer.concat([Buffer.from(text.slice(0, -1)), Buffer.from([0xc0, 0xaf, 0x7d])])],
    ['an overlong slash', Buffer.from(text.replace('8841/front', '8841\xc0\xaffront'), 'latin1')],
    ['64 KiB and a byte', Buffer.alloc(65_537, 0x20)],
    ['a megabyte of brackets', '['.repeat(1_000_000)],
    ['a huge number', withField('timeoutSeconds', '1e999')],
    ['a negative huge number', withField('timeoutSeconds', '-1e999')],
    ['a number of 60,000 digits', withField('timeoutSeconds', '9'.repeat(60_000))],
    ['a huge quality', text.replace('90', '90000000000000000000')],
    ['half a character as a key', withField('\ud800', '1')],
    ['60,000 characters as a key', withField('€'.repeat(20_000), '1')],
    ['10,000 unknown keys', `{${Array.from({ length: 5000 }, (_, i) => `"k${i}":1`).join(',')}}`],
    ['__proto__', withField('__proto__', '{"jobId":"x"}')],
    ['__proto__ in metadata', text.replace('"cart"', '"__proto__"')],
    [
      'a schema of another version, deep',
      text.replace('"schemaVersion":1', `"schemaVersion":${nested(2000, '[', ']')}`),
    ],
    ['operations that are lists', text.replace('"background_remove"', nested(2000, '[', ']'))],
    ['60,000 operations', text.replace('"background_remove"', Array(20_000).fill('1').join(','))],
    ['NUL in the address', text.replace('front.jpg', 'fr\\u0000nt.jpg')],
    ['a line break in the jobId', text.replace('8841.front', '8841\\nfront')],
    ['an empty object', '{}'],
    ['a number', '1'],
    ['null', 'null'],
    ['a text', '"a"'],
  ])('is refused: %s', (_name, data) => {
    expect(mustEndVisibly(Buffer.isBuffer(data) ? data : Buffer.from(data))).toBeInstanceOf(JobError);
  });

  it.each(DEPTHS)('is refused or echoed when it is nested %i deep', (depth) => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const) {
      const deep = open === '[' ? nested(depth, open, close) : `${open.repeat(depth)}1${close.repeat(depth)}`;
      for (const field of ['metadata', 'schemaVersion', 'operations', 'input', 'output', 'unknown']) {
        mustEndVisibly(Buffer.from(withField(field, deep)));
        mustEndVisibly(Buffer.from(withField(field, `{"a":${deep}}`)));
      }
      mustEndVisibly(Buffer.from(deep));
    }
  });

  it('refuses what says something twice, and salvages the id that came last', () => {
    const twice = Buffer.from(withField('jobId', '"second"'));
    expect(mustEndVisibly(twice)).toMatchObject({ code: 'INVALID_MESSAGE', message: 'jobId: given twice' });
    expect(salvage(twice)).toMatchObject({ jobId: 'second' });
  });

  it('takes names that every object has for names', () => {
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
      const job = mustEndVisibly(Buffer.from(JSON.stringify({ ...valid, operations: [name] })));
      expect(job).toMatchObject({ operations: [{ model: name }] });
    }
  });

  it('ends visibly whatever 6,000 accidents have happened to it', () => {
    const chance = random(7);
    const ends = { jobs: 0, errors: 0 };
    for (let i = 0; i < 6000; i++) {
      let data = Buffer.from(text);
      for (let rounds = 1 + chance(2); rounds > 0 && data.length > 4; rounds--) {
        const damage = chance(3);
        if (damage === 0) data = Buffer.from(flipped(data, chance));
        else if (damage === 1) data = Buffer.from(rearranged(data, chance));
        else data = Buffer.from(truncated(data, 50 + chance(50), 100));
      }
      if (mustEndVisibly(data) instanceof JobError) ends.errors++;
      else ends.jobs++;
    }
    expect(ends.jobs).toBeGreaterThan(30);
    expect(ends.errors).toBeGreaterThan(3000);
  }, 60_000);
});

const PREFIXES = ['gs://mine/a/b', 'gs://open'];
/** All of these are not under gs://mine/a/b or gs://open. */
const OUTSIDE = [
  'gs://mine/a',
  'gs://mine/a/b',
  'gs://mine/a/b/',
  'gs://mine/a/bc',
  'gs://mine/a/c/x',
  'gs://mine/a/./b/x',
  'gs://mine/a/b/../c/x',
  'gs://mine/a/b/..',
  'gs://mine/a/b/./x',
  'gs://mine/../mine/a/b/x',
  'gs://mine//a/b/x',
  'gs://mine/a//b/x',
  'gs:///mine/a/b/x',
  'gs://mine/A/B/x',
  'gs://mine/%61/b/x',
  'gs://mine/a%2fb/x',
  'gs://mine/a\\b\\x',
  'gs://mine/a/\u0062\u0301/x',
  'gs://mine/ａ/b/x',
  'gs://mine\u2215a/b/x',
  'gs://mine/a/b\u2215x',
  'gs://mine/a/b\r\n/x',
  'gs://mine/a/b/x\r\n',
  'gs://mine/a/b/\0',
  'gs://mine/a/b/\u007fx',
  'gs://open-too/x',
  'gs://open.evil.example/x',
  'gs://open@evil/x',
  'gs://evil@open/x',
  'gs://open:443/x',
  'gs://open#/x',
  'gs://open?/x',
  'gs://OPEN/x',
  'gs://open /x',
  'gs:// open/x',
  'gs://.open/x',
  'gs://open./x',
  'gs://../open/x',
  'gs://open',
  'gs://open/',
  'gs://open/..',
  'gs://open/../mine/x',
  'gs://open\\x',
  'GS://open/x',
  'gs:open/x',
  '//open/x',
  'file:///open/x',
  'https://storage.googleapis.com/open/x',
  ' gs://open/x',
];
/** Odd, but objects of their own under a permitted prefix: Cloud Storage knows no folders, and takes %2e for three characters. */
const INSIDE = [
  'gs://mine/a/b//x',
  'gs://mine/a/b/%2e%2e/x',
  'gs://mine/a/b/..%2f..%2fx',
  'gs://mine/a/b/...',
  'gs://mine/a/b/..x',
  'gs://mine/a/b/..\\..\\x',
  'gs://mine/a/b/\u202egnp.x',
  'gs://mine/a/b/x?generation=1',
  'gs://mine/a/b/x#1',
  'gs://open/gs://mine/a',
];

describe('an address', () => {
  /** What the worker would touch, as a list; every stop on the way is a documented code. */
  async function touched(job: object): Promise<ObjectRef[]> {
    const refs: ObjectRef[] = [];
    const parsed = read(Buffer.from(JSON.stringify({ ...valid, output: undefined, ...job })));
    if (parsed instanceof JobError) {
      expect(parsed.code).toBe('INVALID_MESSAGE');
      return refs;
    }
    const store: ObjectStore = {
      ...memoryStore().store,
      read: (ref) => {
        refs.push({ bucket: ref.bucket, name: ref.name });
        return Promise.resolve({ kind: 'found', bytes: Buffer.alloc(1), generation: '1' });
      },
    };
    try {
      refs.push(chooseTarget(parsed, { outputPrefix: 'gs://mine/a/b/', allowedOutputs: PREFIXES })(FORMATS.png));
      const options = { allowedInputs: PREFIXES, maxBytes: 1 };
      await fetchInput(parsed.input, store, options, new AbortController().signal);
    } catch (error) {
      if (!(error instanceof JobError)) throw error;
      expect(['INPUT_FORBIDDEN', 'OUTPUT_FORBIDDEN', 'INVALID_PARAMETERS']).toContain(error.code);
      return [];
    }
    return refs;
  }

  it.each(OUTSIDE)('outside is neither read nor written: %j', async (uri) => {
    expect(await touched({ input: { uri } })).toEqual([]);
    expect(await touched({ input: { uri: INSIDE[0] }, output: { uri } })).toEqual([]);
  });

  it.each(INSIDE)('inside is taken as it stands: %j', async (uri) => {
    const [target, input] = await touched({ input: { uri }, output: { uri } });
    expect([target, input].map((ref) => ref && objectUri(ref))).toEqual([uri, uri]);
  });

  it.each([...OUTSIDE, ...INSIDE])('as a prefix leads nowhere else: %j', async (prefix) => {
    for (const jobId of ['x', 'x..', 'x:y', 'x.-_', 'a'.repeat(128)]) {
      for (const ref of await touched({ input: { uri: INSIDE[0] }, jobId, output: { prefix } })) {
        expect(isPermitted(ref, PREFIXES)).toBe(true);
        // Not by the function that decides, but by the letter.
        expect(objectUri(ref)).toMatch(/^gs:\/\/(mine\/a\/b\/|open\/)./);
        expect(ref.name.split('/')).not.toContain('..');
        expect(ref.name).toMatch(/^[^\0\r\n]+$/);
      }
    }
  });

  it.each(['..', '.', '../x', 'x/y', 'x\\y', 'x\n', '', '~r1', 'x~r1', 'x%2fy', '\u0445', 'a'.repeat(129)])(
    'is not made of the jobId %j',
    async (jobId) => expect(await touched({ input: { uri: INSIDE[0] }, jobId })).toEqual([]),
  );
});
