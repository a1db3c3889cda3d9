import { describe, expect, it } from 'vitest';
import { deadLetterOf, lettersByJob, requestOfLetter } from '../../../src/cli/dead-letters/letter.js';

const job = '"jobId": "a", "operations": ["x"], "input": { "uri": "gs://in/a" }';

function requestOf(data: string | Buffer) {
  const attributes = {
    errorCode: 'INVALID_MESSAGE',
    jobId: 'a',
    tenant: 't',
    CloudPubSubDeadLetterSourceDeliveryCount: '5',
  };
  const delivery = { messageId: '1', attributes, data: Buffer.from(data), publishedAt: new Date(), attempt: 1 };
  return requestOfLetter(deadLetterOf(delivery));
}

it('is one for each job, of which a redrive is none, and one that can be read where there is any', () => {
  const letter = (messageId: string, data: string, jobId?: string) =>
    deadLetterOf({
      ...{ messageId, data: Buffer.from(data), publishedAt: new Date(), attempt: 1 },
      attributes: jobId === undefined ? {} : { jobId },
    });
  const letters = [
    ...[letter('1', `{ ${job} }`, 'a'), letter('2', `{ ${job} }`, 'a~r1'), letter('3', 'no job', 'a~r2')],
    ...[letter('4', 'no job', 'b'), letter('5', 'no job'), letter('6', 'no job')],
  ];
  const chosen = [...lettersByJob(letters)].map(([jobId, { messageId }]) => [jobId, messageId]);
  expect(chosen).toEqual([
    ['a', '2'],
    ['b', '4'],
    ['message 5', '5'],
    ['message 6', '6'],
  ]);
});

describe('a dead letter', () => {
  it('gives the request that its publisher sent, with the attributes of the publisher', () => {
    const message = { jobId: 'a', operations: ['x'], input: { uri: 'gs://in/a' } };
    expect(requestOf(`{ ${job} }`)).toEqual({ message, attributes: { tenant: 't' } });
    expect(requestOf(`\uFEFF{ ${job} }`)).toEqual({ message, attributes: { tenant: 't' } });
  });

  it.each([
    ['a key twice', `{ ${job}, "jobId": "a" }`],
    ['a key twice, in an object of the message', `{ ${job}, "output": { "format": "png", "format": "webp" } }`],
    ['a key twice, deep in the metadata', `{ ${job}, "metadata": { "a": [{ "b": 1, "b": 2 }] } }`],
    ['an unknown field', `{ ${job}, "colour": "red" }`],
    ['the key __proto__', `{ ${job}, "metadata": { "__proto__": 1 } }`],
    ['another schema', `{ ${job}, "schemaVersion": 2 }`],
    ['more bytes than a message may have', `{ ${job} ${' '.repeat(70_000)} }`],
    [
      'bytes that are no UTF-8',
      Buffer.concat([Buffer.from(`{ ${job}, "metadata": { "a": "`), Buffer.from([0xff]), Buffer.from('" } }')]),
    ],
    ['a list', '[]'],
    ['a text', 'no job'],
  ])('gives no request if it has %s', (_, data) => {
    expect(requestOf(data)).toBeUndefined();
  });
});
