import { expect, it } from 'vitest';
import { replicasOf } from '../../../src/adapters/triton/replica-control.js';

it.each([
  ['127.0.0.1:8001', ['ipv4:127.0.0.1:8001']],
  ['dns:///127.0.0.1:8001', ['ipv4:127.0.0.1:8001']],
  ['dns:127.0.0.1:8001', ['ipv4:127.0.0.1:8001']],
  ['dns://10.0.0.2/127.0.0.1:8001', ['ipv4:127.0.0.1:8001']],
  ['[::1]:8001', ['ipv6:[::1]:8001']],
  ['ipv4:10.0.0.1:8001,10.0.0.2:8001', ['ipv4:10.0.0.1:8001', 'ipv4:10.0.0.2:8001']],
  ['unix:/run/triton.sock', ['unix:/run/triton.sock']],
])('finds the replicas behind %s', async (url, expected) => {
  expect(await replicasOf(url)).toEqual(expected);
});

it('says so where a name has no address', async () => {
  await expect(replicasOf('dns:///no-such-name.invalid:8001')).rejects.toThrow('no-such-name.invalid');
});
