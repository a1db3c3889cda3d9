import { afterEach, describe, expect, it } from 'vitest';
import { Channel } from '../../../src/adapters/triton/channel.js';

describe('Channel', () => {
  let channel: Channel | undefined;
  afterEach(() => channel?.close());

  it.each([
    ['localhost:8001', true],
    ['127.0.0.1:8001', true],
    ['[::1]:8001', true],
    ['unix:/run/triton.sock', true],
    ['dns:///localhost:8001', true],
    ['triton:8001', false],
    ['dns:///triton-headless.prod:8001', false],
    ['localhost.example:8001', false],
    ['10.0.0.1:8001', false],
  ])('knows whether %s is this host', (url, expected) => {
    channel = new Channel(url);
    expect(channel.isLocal).toBe(expected);
  });
});
