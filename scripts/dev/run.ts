import { execFile, type ExecFileOptions } from 'node:child_process';
import { promisify } from 'node:util';

export interface RunOptions extends ExecFileOptions {
  readonly input?: string;
}

/** Runs a program to its end. @throws Error with all that it said when it fails */
export async function run(command: string, args: readonly string[], { input, ...options }: RunOptions = {}) {
  const running = promisify(execFile)(command, args, { maxBuffer: 2 ** 26, ...options, encoding: 'utf8' });
  running.child.stdin?.end(input);
  return running.catch((error: unknown) => {
    const { stdout = '', stderr = '', message } = error as Error & { stdout?: string; stderr?: string };
    throw new Error(stdout + stderr || message, { cause: error });
  });
}

/** What a program says on both its streams; undefined where it is missing or fails. */
export const outputOf = (command: string, args: readonly string[]): Promise<string | undefined> =>
  run(command, args, { timeout: 20_000 }).then(
    ({ stdout, stderr }) => stdout + stderr,
    () => undefined,
  );
