import type { Command } from 'commander';
import { outputFailed } from './output.js';

/** Input of a command, and its exit code. */
export interface Invocation {
  readonly env: NodeJS.ProcessEnv;
  exitCode: number;
}

/** Exit code of a command that a SIGINT has ended. */
export const INTERRUPTED = 130;

/** An error that the user can fix. It is shown without a stack. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A correct command failed. It is shown without a stack. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed';
}

/**
 * Adds the end of a command's help.
 * @param codes exit codes, each with what it says; 0 and 2 have a text of their own
 * @param examples command lines without `imagen`
 */
export function withHelp(
  command: Command,
  examples: readonly string[],
  codes: Readonly<Record<number, string>>,
): Command {
  const all = { 0: 'done', 2: 'wrong call or configuration', ...codes };
  const lines = Object.entries(all).map(([code, what]) => `  ${code}  ${what}`);
  const shown = examples.map((example) => `  imagen ${example}`);
  return command.addHelpText('after', ['', 'Examples:', ...shown, '', 'Exit codes:', ...lines].join('\n'));
}

/**
 * Waits for `work`, for at most `ms`. @returns its result; undefined if it takes longer. The work is not stopped.
 * @param ms in milliseconds
 */
export async function atMost<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), ms)));
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Time for a command to end what it does after an interruption, in milliseconds. */
export const STOP_MS = 30_000;

/**
 * Waits for `work`. After a signal it waits only `ms` longer.
 * @returns undefined if the work is left behind
 * @throws what the work throws
 */
export async function untilStopped<T>(work: Promise<T>, stop: AbortSignal, ms = STOP_MS): Promise<T | undefined> {
  let begin: () => void = () => undefined;
  const stopped = new Promise<undefined>((resolve) => (begin = () => resolve(undefined)));
  stop.addEventListener('abort', begin, { once: true });
  if (stop.aborted) begin();
  try {
    return await Promise.race([work, stopped.then(() => atMost(ms, work))]);
  } finally {
    stop.removeEventListener('abort', begin);
  }
}

/**
 * A signal that fires when the user interrupts the command, or when standard output fails. Without it the process would end
 * at once.
 */
export function untilInterrupted(): AbortSignal {
  const interrupted = new AbortController();
  outputFailed().addEventListener('abort', () => interrupted.abort(), { once: true });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
  return interrupted.signal;
}
