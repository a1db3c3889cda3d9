import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { root } from '../../../scripts/dev/stack/paths.js';
import { JobError } from '../../../src/domain/errors.js';
import { isShortage } from '../../../src/pipeline/codec.js';

describe('what the machine lacks', () => {
  // Words of libvips 8.17 and its libraries, seen or read in their sources.
  it.each([
    'vips_image_write_to_memory: out of memory -- size == 71MB',
    'Input buffer has corrupt header: vips_tracked: out of memory -- size == 95MB',
    'source: bad seek to 388\nheif: Invalid input: Unspecified: Memory allocation error (2.0)',
    'heif: Encoder plugin generated an error: Initialization problem: av1_create_context_and_bufferpool() failed (8.5001)',
    'VipsJpeg: Insufficient memory (case 4)',
    'unable to create thread',
    'Cannot allocate memory',
    "EMFILE: too many open files, open '/tmp/x'",
    'vips_image: unable to write to file: No space left on device',
  ])('is not the picture’s fault: %s', (message) => expect(isShortage(new Error(message))).toBe(true));

  it('is told by the system’s code, too', () => {
    expect(isShortage(Object.assign(new Error('spawn'), { code: 'EAGAIN' }))).toBe(true);
  });

  it.each([
    'VipsJpeg: premature end of JPEG image',
    'heif: Invalid input: Unspecified: Bitstream not supported by this decoder (2.0)',
    // The library's own limit against hostile files, met by the file.
    'heif: Memory allocation error: Security limit exceeded: Allocating 300000000 bytes exceeds the security limit (6.1000)',
    'Input buffer contains unsupported image format',
    'pngload_buffer: libspng read error',
  ])('is something else: %s', (message) => expect(isShortage(new Error(message))).toBe(false));

  it('is not looked for in what we say ourselves', () => {
    expect(isShortage(new JobError('INPUT_CORRUPT', 'out of memory'))).toBe(false);
  });

  it('puts a good picture off, when the kernel gives no memory; in reading and in writing', async () => {
    const child = join(root, 'test/support/short-of-memory.ts');
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', child]);
    const outcomes = JSON.parse(stdout) as Readonly<Record<string, string>>;
    expect(outcomes).toEqual({
      'read jpeg': 'WORKER_OVERLOADED',
      'read jpeg, progressive': 'WORKER_OVERLOADED',
      'read png': 'WORKER_OVERLOADED',
      'read webp': 'WORKER_OVERLOADED',
      'read avif': 'WORKER_OVERLOADED',
      'write avif': 'WORKER_OVERLOADED',
      'read half a jpeg': 'INPUT_CORRUPT',
    });
  }, 60_000);
});
