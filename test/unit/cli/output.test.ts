/** Where commands write, and how they end. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { run } from '../../../src/cli/index.js';
import { oneLine, outputFailed, visible, withOutput } from '../../../src/cli/output.js';
import { describe as describeCompletion } from '../../../src/cli/submit/tell.js';
import { untilInterrupted, untilStopped } from '../../../src/cli/usage.js';
import type { Completion } from '../../../src/domain/completion.js';
import { runProgram } from '../../support/program.js';

vi.mock('../../../src/cli/capacity.js', () => {
  throw new Error('loaded');
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

it('shows control characters, and newlines where a line is wanted', () => {
  expect(visible('a\u001b[31m\tb\nc\u009bd é')).toBe('a\\x1b[31m\\tb\nc\\x9bd é');
  expect(oneLine('a\r\nb')).toBe('a\\x0d\\nb');
});

it('answers --version without any command', async () => {
  const log = vi.spyOn(console, 'log').mockReturnValue();
  expect(await run(['node', 'imagen', '--version'], {})).toBe(0);
  expect(log).toHaveBeenCalledWith(expect.stringMatching(/^\d+\.\d+\.\d+$/));
  await expect(import('../../../src/cli/capacity.js')).rejects.toThrow(); // so that the test can fail
});

it.each([
  ['a document', "printText('x'.repeat(2_000_000))", 2_000_001],
  ['a picture', 'printBytes(Buffer.alloc(2_000_000))', 2_000_000],
])('gives a reader of a pipe all of %s, although the process exits', async (_, print, bytes) => {
  const output = new URL('../../../src/cli/output.ts', import.meta.url).href;
  const program = `const { withOutput, printText, printBytes } = await import('${output}');
    process.exit(await withOutput(async () => { ${print}; return 7; }));`;
  const options = ['--import', 'tsx', '--input-type=module', '--eval', program];
  const { code, stdout, stderr } = await runProgram(process.execPath, options, process.env);
  expect({ code, length: stdout.length, stderr }).toEqual({ code: 7, length: bytes, stderr: '' });
});

describe('standard output that fails', () => {
  const failing = (code: string) => Object.assign(new Error(`${code}: write`), { code });

  it('ends a command that watches it, and is quiet where the reader has gone', async () => {
    const error = vi.spyOn(console, 'error').mockReturnValue();
    const code = await withOutput(async () => {
      const interrupted = untilInterrupted();
      process.stdout.emit('error', failing('EPIPE'));
      expect([interrupted.aborted, outputFailed().aborted]).toEqual([true, true]);
      return Promise.resolve(0);
    });
    expect([code, error.mock.calls]).toEqual([141, []]);
  });

  it('is told where it is something else', async () => {
    const error = vi.spyOn(console, 'error').mockReturnValue();
    expect(await withOutput(() => Promise.resolve(Number(!process.stdout.emit('error', failing('ENOSPC')))))).toBe(1);
    expect(error).toHaveBeenCalledWith('imagen: standard output cannot be written: ENOSPC: write');
  });

  it('leaves a command that goes on', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const ended = withOutput(() => {
      process.stdout.emit('error', failing('EPIPE'));
      return new Promise<number>(() => undefined);
    });
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await ended).toBe(141);
  });
});

describe('a graceful stop', () => {
  it('waits for the work, but not for ever', async () => {
    const stop = new AbortController();
    expect(await untilStopped(Promise.resolve(7), stop.signal)).toBe(7);
    const never = untilStopped(new Promise<number>(() => undefined), stop.signal, 20);
    const slow = untilStopped(sleep(1, 8), stop.signal, 10_000);
    stop.abort();
    expect([await never, await slow]).toEqual([undefined, 8]);
  });
});

it('keeps the time of a job apart from its error', () => {
  const error = { code: 'DEADLINE_EXCEEDED', message: 'the deadline has passed' };
  const completion = { jobId: 'a', status: 'expired', error, timingsMs: { total: 0 } } as unknown as Completion;
  expect(describeCompletion(completion)).toBe('expired    a: DEADLINE_EXCEEDED: the deadline has passed (after 0 ms)');
});
