/** What a command is given, and where it leaves its exit code. */
export interface Invocation {
  readonly env: NodeJS.ProcessEnv;
  exitCode: number;
}

/** Something that the user can mend; shown without a stack. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What was asked for could not be done, though it was asked for rightly; shown without a stack. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed';
}
