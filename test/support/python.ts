import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { installVenv } from '../../scripts/parts/python.js';
import { withLock } from '../../scripts/stack/lock.js';
import { cacheDir } from '../../scripts/stack/paths.js';

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. */
export async function runProgram(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Finished> {
  const child = spawn(command, args, { env });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

/** The Python of the stack's own Triton environment, which has `tritonclient`. */
export const tritonPython = join(cacheDir, 'triton/bin/python');

/** A Python with what a requirements file names, installed once into the cache. */
export async function pythonWith(name: string, requirements: string): Promise<string> {
  const venv = join(cacheDir, name);
  const run = async (command: string, args: readonly string[]) => {
    const { code, stderr } = await runProgram(command, args, process.env);
    if (code !== 0) throw new Error(`${command} ${args.join(' ')}: exited with ${code}\n${stderr}`);
  };
  const install = () =>
    installVenv({ step: () => undefined, run }, venv, {
      key: readFileSync(requirements, 'utf8'),
      essential: () => [],
      pip: { [name]: ['--requirement', requirements] },
    });
  await withLock(cacheDir, () => undefined, install);
  return join(venv, 'bin/python');
}
