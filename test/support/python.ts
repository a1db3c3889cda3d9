import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { installVenv } from '../../scripts/dev/parts/python.js';
import { withLock } from '../../scripts/dev/stack/lock.js';
import { cacheDir } from '../../scripts/dev/stack/paths.js';
import { runProgram } from './program.js';

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
