import { describe } from 'vitest';
import { objectStoreContract } from '../../support/contracts/object-store.js';
import { memoryStore } from '../../support/memory-store.js';

describe('ObjectStore in memory', () => {
  objectStoreContract(() => {
    const { store, replace } = memoryStore();
    return Promise.resolve({
      ...{ store, bucket: 'bucket' },
      replace: (name, text) => Promise.resolve(replace({ bucket: 'bucket', name }, Buffer.from(text))),
      close: () => Promise.resolve(),
    });
  });
});
