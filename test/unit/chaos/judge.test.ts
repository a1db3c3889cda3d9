import { describe, expect, it } from 'vitest';
import { type Evidence, judge } from '../../../scripts/lab/chaos/judge.js';
import type { PlannedJob } from '../../../scripts/lab/chaos/load.js';

const job: PlannedJob = { kind: 'good', jobId: 'a', messages: [], expected: { status: 'succeeded' } };
const stored = { uri: 'gs://out/a/result.png', generation: '1', bytes: 9, crc32c: 'abc=' };
const completion = {
  ...{ schemaVersion: 1, eventId: 'e', jobId: 'a', status: 'succeeded' },
  output: { ...stored, contentType: 'image/png', width: 1, height: 1 },
  messageId: 'm1',
};
const body = JSON.stringify({
  ...{ schemaVersion: 1, eventId: 'e', jobId: 'a', status: 'succeeded' },
  output: {
    ...{ uri: stored.uri, generation: stored.generation, contentType: 'image/png', bytes: 9, width: 1, height: 1 },
    crc32c: 'abc=',
  },
  messageId: 'm1',
});
const good: Evidence = {
  accepted: [{ job, messageId: 'm1', body: 'one' }],
  completions: [body, body],
  deadLetters: [],
  records: new Map([['a', JSON.stringify({ fingerprint: 'f', completion: JSON.parse(body) as unknown })]]),
  results: [stored],
  canceled: new Map(),
  leftOver: [],
};
const nothing = { lost: [], conflicting: [], unexpected: [], wronglyFailed: [], unsettled: [] };
const say = (more: object) => JSON.stringify({ ...completion, ...more });
const killer: PlannedJob = {
  ...job,
  expected: { status: 'failed', codes: ['WORKER_LOST'], deadLetter: true },
};

describe('the verdict of a fault run', () => {
  it('finds nothing where nothing is wrong', () => {
    expect(judge(good)).toEqual(nothing);
  });

  it.each<[string, keyof typeof nothing, Partial<Evidence>]>([
    ['no completion', 'lost', { completions: [] }],
    [
      'a message of another job under the id that nobody has answered',
      'lost',
      { accepted: [...good.accepted, { job, messageId: 'm2', body: 'two' }] },
    ],
    ['two bodies of one event', 'conflicting', { completions: [body, say({ attempt: 2 })] }],
    ['two outcomes', 'conflicting', { completions: [body, say({ eventId: 'other' })] }],
    ['no record', 'conflicting', { records: new Map() }],
    [
      'a record that says something else',
      'conflicting',
      {
        records: new Map([
          ['a', JSON.stringify({ fingerprint: 'f', completion: JSON.parse(say({ attempt: 3 })) as unknown })],
        ]),
      },
    ],
    ['no result', 'conflicting', { results: [] }],
    ['two results', 'conflicting', { results: [stored, { ...stored, generation: '2' }] }],
    ['a result of another generation', 'conflicting', { results: [{ ...stored, generation: '2' }] }],
    ['a result with other bytes', 'conflicting', { results: [{ ...stored, crc32c: 'xyz=' }] }],
    ['another outcome than it must be', 'unexpected', { accepted: [{ job: killer, messageId: 'm1', body: 'one' }] }],
    ['an outcome although it was canceled', 'unexpected', { canceled: new Map([['a', true]]) }],
    ['a dead letter of a good job', 'unexpected', { deadLetters: [{ jobId: 'a', errorCode: 'WORKER_LOST' }] }],
    ["a dead letter of Pub/Sub's own", 'unexpected', { deadLetters: [{}] }],
    ['a completion of nothing', 'unexpected', { completions: [body, say({ jobId: 'b', eventId: 'f' })] }],
    ['a message that is left', 'unsettled', { leftOver: ['m1: one'] }],
  ])('finds %s', (_, kind, wrong) => {
    expect(judge({ ...good, ...wrong })[kind]).not.toEqual([]);
  });
});
