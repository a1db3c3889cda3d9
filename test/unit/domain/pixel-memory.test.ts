import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

// Other files of tests run in this process, and leave memory in the module that they share.
vi.resetModules();
const { acquirePixels, keptPixels, releasePixels } = await import('../../../src/domain/pixel-memory.js');

const MIB = 1024 ** 2;

describe('memory of pixels', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => {
    vi.advanceTimersByTime(60_000);
    expect(keptPixels()).toBe(0);
    vi.useRealTimers();
  });

  it('is used again after it was given back, and not before', () => {
    const first = acquirePixels(MIB);
    const second = acquirePixels(MIB);
    expect(second.buffer).not.toBe(first.buffer);
    releasePixels(first);
    const third = acquirePixels(MIB - 5);
    expect(third.buffer).toBe(first.buffer);
    expect(third).toHaveLength(MIB - 5);
    expect(acquirePixels(MIB).buffer).not.toBe(first.buffer);
  });

  it('is given back once: a second time has no effect', () => {
    const one = acquirePixels(MIB);
    releasePixels(one);
    releasePixels(one.subarray(7));
    expect(keptPixels()).toBe(MIB);
    const [a, b] = [acquirePixels(MIB), acquirePixels(MIB)];
    expect(a.buffer).not.toBe(b.buffer);
    expect(keptPixels()).toBe(0);
  });

  it('is not taken from a second borrower when the first gives it back again', () => {
    const first = acquirePixels(MIB);
    releasePixels(first);
    const second = acquirePixels(MIB);
    expect(second.buffer).toBe(first.buffer);
    releasePixels(first);
    expect(keptPixels()).toBe(0);
    expect(acquirePixels(MIB).buffer).not.toBe(second.buffer);
  });

  it('ignores views, buffers of other origin and small ones', () => {
    releasePixels(acquirePixels(MIB).subarray(7));
    releasePixels(Buffer.allocUnsafeSlow(MIB));
    releasePixels(Buffer.alloc(10));
    releasePixels(acquirePixels(1_000));
    expect(keptPixels()).toBe(0);
    expect(acquirePixels(0)).toHaveLength(0);
  });

  it('fits sizes that are nearly the same, and wastes at most a quarter', () => {
    for (const bytes of [65_536, 65_537, 100_000, 3_000_001, 36_000_000]) {
      const buffer = acquirePixels(bytes);
      expect(buffer).toHaveLength(bytes);
      expect(buffer.buffer.byteLength).toBeGreaterThanOrEqual(bytes);
      expect(buffer.buffer.byteLength).toBeLessThanOrEqual(bytes * 1.25 + 1);
    }
  });

  it('leaves buffers above 48 MB to V8', () => {
    const large = acquirePixels(48 * MIB + 1);
    releasePixels(large);
    expect(keptPixels()).toBe(0);
    expect(large.buffer.byteLength).toBe(48 * MIB + 1);
  });

  it('keeps at most 64 MB', () => {
    const many = Array.from({ length: 20 }, () => acquirePixels(4 * MIB));
    for (const one of many) releasePixels(one);
    expect(keptPixels()).toBe(64 * MIB);
  });

  it('drops what nobody has needed for five seconds, and keeps what is in use', () => {
    const [idle, busy] = [acquirePixels(MIB), acquirePixels(MIB)];
    releasePixels(idle);
    releasePixels(busy);
    for (let i = 0; i < 6; i++) {
      vi.advanceTimersByTime(2_000);
      const again = acquirePixels(MIB);
      expect(again.buffer).toBe(busy.buffer);
      releasePixels(again);
    }
    expect(keptPixels()).toBe(MIB);
  });
});
