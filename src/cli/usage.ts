import type { Command } from 'commander';

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

/** A signal that fires when the user interrupts the command. Without it the process would end at once. */
export function untilInterrupted(): AbortSignal {
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
  return interrupted.signal;
}
