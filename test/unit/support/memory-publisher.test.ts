import { describe } from 'vitest';
import { publisherContract } from '../../support/contracts/publisher.js';
import { memoryPublisher } from '../../support/memory-publisher.js';

describe('Publisher in memory', () => {
  publisherContract((test) => () => {
    const { publisher, accepted } = memoryPublisher();
    return test({ publisher, arrived: () => accepted });
  });
});
