import { describe, expect, it } from 'vitest';
import { JobError } from '../../../src/domain/errors.js';
import { isJobId, jobAttributes, originalOf, parseJob, redriveId, salvage } from '../../../src/domain/job.js';

const minimal = { jobId: 'order-1.front', operations: ['upscale'], input: { uri: 'gs://in/a.jpg' } };
const bytes = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));

function refusal(value: unknown): JobError {
  try {
    parseJob(bytes(value));
  } catch (error) {
    if (error instanceof JobError) return error;
    throw error;
  }
  throw new Error('was accepted');
}

describe('parseJob', () => {
  it('brings a minimal message into normal form', () => {
    expect(parseJob(bytes(minimal))).toEqual({
      ...minimal,
      operations: [{ model: 'upscale' }],
      output: {},
      priority: 'batch',
    });
  });

  it('accepts every documented field', () => {
    const full = {
      schemaVersion: 1,
      ...minimal,
      operations: ['background_remove', { model: 'upscale', version: '2', parameters: { strength: 0.8 } }],
      input: { uri: 'gs://in/8841/front.jpg', generation: '1763856000000000' },
      output: { prefix: 'gs://out/8841/', format: 'webp', quality: 90, maxWidth: 100, keepMetadata: true },
      deadline: '2026-12-01T12:00:00Z',
      timeoutSeconds: 60,
      priority: 'interactive',
      experimentKey: 'customer-17',
      group: { id: 'season-3', total: 200 },
      tenant: 'shop:17',
      metadata: { cart: 'abc' },
    };
    expect(parseJob(bytes(full)).priority).toBe('interactive');
  });

  it.each([
    ['not JSON', '{"jobId": ', /JSON/],
    ['not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]).toString('latin1'), /JSON/],
    ['an array', [], /JSON object/],
    ['an unknown field', { ...minimal, colour: 'red' }, /^colour: unknown field$/],
    ['an unknown nested field', { ...minimal, output: { dpi: 300 } }, /^output\.dpi: unknown field$/],
    [
      'a typo inside an operation',
      { ...minimal, operations: [{ model: 'upscale', verison: '2' }] },
      /operations\.0\.verison: unknown field/,
    ],
    ['no jobId', { operations: ['upscale'], input: minimal.input }, /^jobId: /],
    ['a reserved jobId', { ...minimal, jobId: 'a~r1' }, /redriveOf/],
    ['a jobId with a slash', { ...minimal, jobId: 'a/b' }, /^jobId: /],
    ['a tenant with a slash', { ...minimal, tenant: 'a/b' }, /^tenant: expected 1 to 128 characters/],
    ['no operation', { ...minimal, operations: [] }, /^operations: /],
    ['nine operations', { ...minimal, operations: Array(9).fill('upscale') }, /^operations: /],
    ['a number as version', { ...minimal, operations: [{ model: 'upscale', version: 2 }] }, /operations\.0\.version/],
    ['a web address', { ...minimal, input: { uri: 'https://in/a.jpg' } }, /^input\.uri: expected gs:/],
    ['a path with dots', { ...minimal, input: { uri: 'gs://in/a/../b.jpg' } }, /^input\.uri: /],
    ['uri and prefix', { ...minimal, output: { uri: 'gs://out/a', prefix: 'gs://out/b' } }, /either uri or prefix/],
    ['a key that cannot be echoed', '{"jobId":"a","metadata":{"x":{"__proto__":1}}}', /__proto__/],
    [
      'a generation beyond all',
      { ...minimal, input: { uri: 'gs://in/a', generation: '99999999999999999999' } },
      /input\.generation/,
    ],
    ['half a character', { ...minimal, input: { uri: 'gs://in/\ud800x' } }, /^input\.uri: .*Unicode/],
    ['a folder', { ...minimal, output: { uri: 'gs://out/dir/' } }, /^output\.uri: /],
    ['null instead of absent', { ...minimal, output: null }, /^output: /],
    ['too much metadata', { ...minimal, metadata: { a: 'x'.repeat(5000) } }, /^metadata: .*4096/],
    ['a group without a label', { ...minimal, group: { total: 3 } }, /^group\.id: /],
    ['a group with a slash', { ...minimal, group: { id: 'a/b' } }, /^group\.id: expected 1 to 128/],
    ['a group with a long label', { ...minimal, group: { id: 'a'.repeat(129) } }, /^group\.id: /],
    ['a group of none', { ...minimal, group: { id: 'a', total: 0 } }, /^group\.total: /],
    ['a group of a million and one', { ...minimal, group: { id: 'a', total: 1_000_001 } }, /^group\.total: /],
    ['a redrive of a redrive', { ...minimal, jobId: 'a~r1~r1', redriveOf: 'a~r1' }, /^jobId: .*; redriveOf: /],
    ['redriveOf without its form', { ...minimal, redriveOf: 'b' }, /^redriveOf: expected none, .* b~r<n>$/],
    ['a completion', { eventId: 'x', status: 'succeeded', schemaVersion: 1 }, /completion, not a job/],
    ['a huge message', { ...minimal, experimentKey: 'x'.repeat(70_000) }, /65536 bytes/],
  ])('refuses %s and says why', (_name, value, message) => {
    const error = refusal(value);
    expect(error.code).toBe('INVALID_MESSAGE');
    expect(error.message).toMatch(message);
  });

  it('names every wrong field at once', () => {
    const { message } = refusal({ ...minimal, jobId: 7, operations: 'upscale', dpi: 1 });
    expect(message).toMatch(/jobId/);
    expect(message).toMatch(/operations/);
    expect(message).toMatch(/dpi/);
  });

  it('tells another schema version apart from a broken message', () => {
    expect(refusal({ ...minimal, schemaVersion: 2 }).code).toBe('UNSUPPORTED_SCHEMA');
  });

  it('accepts a redrive that names its job', () => {
    expect(parseJob(bytes({ ...minimal, jobId: 'a~r1', redriveOf: 'a' })).redriveOf).toBe('a');
    expect(refusal({ ...minimal, jobId: 'a~r1', redriveOf: 'b' }).message).toMatch(/^redriveOf: expected a,/);
  });

  it('has its tenant among the attributes, if it has one', () => {
    const message = { jobId: 'a', operations: ['upscale'], input: { uri: 'gs://in/a' } };
    expect(jobAttributes(message)).toEqual({ model: 'upscale', priority: 'batch' });
    expect(jobAttributes({ ...message, tenant: 't' })).toEqual({ model: 'upscale', priority: 'batch', tenant: 't' });
  });

  it('names redrives after the first job, however often it is done again', () => {
    expect(redriveId('a', 1)).toBe('a~r1');
    expect(redriveId('a~r1', 2)).toBe('a~r2');
    expect(['a', 'a~r2', 'a~r0'].map(originalOf)).toEqual(['a', 'a', 'a~r0']);
    expect([isJobId(redriveId('a'.repeat(128), 9999)), isJobId('a~r10000'), isJobId('a~b')]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

describe('salvage', () => {
  it('finds a usable id in a message that is otherwise wrong', () => {
    expect(salvage(bytes({ jobId: 'a', nonsense: true }))).toEqual({ jobId: 'a' });
    for (const wrong of ['nonsense', 'null', '[]', '1']) expect(salvage(bytes(wrong))).toEqual({});
  });

  it.each([
    ['../a', '../a'],
    ['straße 7', 'straße 7'],
    ['', ''],
    ['x'.repeat(500), 'x'.repeat(128)],
    ['🦊'.repeat(200), '🦊'.repeat(64)],
    [`a${'🦊'.repeat(200)}`, `a${'🦊'.repeat(63)}\ufffd`],
    [`${'x'.repeat(127)}\ud83e`, `${'x'.repeat(127)}\ufffd`],
  ])('echoes an id that is not valid: %s', (jobId, givenJobId) => {
    expect(salvage(bytes({ jobId }))).toEqual({ givenJobId });
  });

  it('echoes metadata as for a job, if it is not too much', () => {
    expect(salvage(bytes({ jobId: 7, metadata: { order: 1 } }))).toEqual({ metadata: { order: 1 } });
    for (const metadata of [{ a: 'x'.repeat(5_000) }, 'text', [1], null])
      expect(salvage(bytes({ metadata }))).toEqual({});
  });
});
