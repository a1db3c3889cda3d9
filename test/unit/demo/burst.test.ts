import sharp from 'sharp';
import { expect, it } from 'vitest';
import { makeRequests } from '../../../scripts/dev/demo/burst.js';

it('asks for sixty pictures of sixty sizes, as one group, so that the live page shows one card', async () => {
  const requests = await makeRequests();
  const sizes = await Promise.all(requests.map(({ input }) => sharp(input as Buffer).metadata()));
  expect(new Set(sizes.map(({ width, height }) => `${width}x${height}`)).size).toBe(60);
  const [{ group } = expect.fail()] = requests;
  expect(group).toEqual({ id: expect.stringMatching(/^burst-/) as string, total: 60 });
  for (const request of requests) expect(request.group).toEqual(group);
  expect(new Set(requests.map(({ jobId }) => jobId)).size).toBe(60);
});
