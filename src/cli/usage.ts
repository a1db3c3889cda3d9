/** Input of a command, and its exit code. */
export interface Invocation {
  readonly env: NodeJS.ProcessEnv;
  exitCode: number;
}

/** An error that the user can fix. It is shown without a stack. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A correct command failed. It is shown without a stack. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed';
}
