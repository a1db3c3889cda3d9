/** What a command is given, and where it leaves its exit code. */
export interface Invocation {
  readonly env: NodeJS.ProcessEnv;
  exitCode: number;
}

/** Something that the user can mend; shown without a stack. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
