import { expect, it } from 'vitest';
import { requestOfReceipt } from '../../../src/client/receipt.js';

const receipt = {
  ...{ fingerprint: 'f', submittedAt: '2026-11-27T12:00:00Z' },
  message: { jobId: 'a', operations: ['x'], input: { uri: 'gs://in/a.png' } },
};

it('gives the request as it was published, with the attributes and the ordering key', () => {
  const attributes = { model: 'x', team: 'a' };
  expect(requestOfReceipt({ ...receipt, attributes, orderingKey: 'customer' })).toEqual({
    ...{ message: receipt.message, attributes, orderingKey: 'customer' },
  });
  expect(requestOfReceipt(receipt)).toEqual({ message: receipt.message, attributes: {} });
});
