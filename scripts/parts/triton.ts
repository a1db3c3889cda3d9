import type { Part } from './part.js';

export const triton: Part = {
  id: 'triton',
  title: 'Triton',
  ports: ['tritonHttp', 'tritonGrpc', 'tritonMetrics'],
  readyTimeoutMs: 300_000,
  prerequisites: () => Promise.resolve([]),
  skip: () => 'not there yet',
  install: () => Promise.resolve(),
  start: () => Promise.reject(new Error('not there yet')),
};
