import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { installOnce } from '../stack/cache.js';
import { outputOf } from '../run.js';
import type { Context, Missing } from './part.js';

/** The wheels of triton/requirements.txt exist for these. */
const versions = ['3.9', '3.10', '3.11', '3.12'];

export interface Python {
  readonly command: string;
  readonly version: string;
  readonly libraryFolder: string;
}

const describe = `
import json, sys, sysconfig
try:
    import venv, ensurepip
    usable = True
except ImportError:
    usable = False
value = sysconfig.get_config_var
print(json.dumps({
    "command": sys.executable, "version": "%d.%d" % sys.version_info[:2], "venv": usable,
    "folders": [value("LIBDIR"), "%s/%s" % (value("LIBDIR"), value("MULTIARCH")), "%s/lib" % sys.base_prefix],
}))`;

interface Described extends Omit<Python, 'libraryFolder'> {
  readonly venv: boolean;
  readonly folders: readonly string[];
}

let search: Promise<Python | Missing> | undefined;

/** The first Python that will do, or what to install where none does. `IMAGEN_PYTHON` goes before all others. */
const findPython = (): Promise<Python | Missing> => (search ??= lookAround());

export async function missingPython(): Promise<Missing[]> {
  const found = await findPython();
  return 'what' in found ? [found] : [];
}

/** A virtual environment in the cache, built again when the Python or what is to be in it has changed. */
export async function installVenv(
  context: Pick<Context, 'step' | 'run'>,
  venv: string,
  wanted: { key: string; essential: (python: Python) => string[]; pip: Readonly<Record<string, readonly string[]>> },
): Promise<void> {
  const { key, essential, pip } = wanted;
  const python = await requirePython();
  await installOnce({
    folder: venv,
    key: JSON.stringify([key, python]),
    essential: ['bin/python', ...essential(python)],
    build: async () => {
      context.step('making a Python environment');
      await mkdir(venv, { recursive: true });
      await context.run(python.command, ['-m', 'venv', venv]);
      for (const [what, args] of Object.entries(pip)) {
        context.step(`installing ${what}`);
        await context.run(join(venv, 'bin/python'), ['-m', 'pip', 'install', '--progress-bar=off', ...args]);
      }
    },
  });
}

export async function requirePython(): Promise<Python> {
  const found = await findPython();
  if ('what' in found) throw new Error(`missing: ${found.what}`);
  return found;
}

async function lookAround(): Promise<Python | Missing> {
  const named = process.env.IMAGEN_PYTHON;
  const refused: string[] = [];
  for (const candidate of named ? [named] : ['python3', ...versions.map((v) => `python${v}`), '/usr/bin/python3']) {
    const output = await outputOf(candidate, ['-c', describe]);
    if (output === undefined) continue;
    const found = JSON.parse(output) as Described;
    const library = `libpython${found.version}.so.1.0`;
    const libraryFolder = found.folders.find((folder) => existsSync(join(folder, library)));
    if (!versions.includes(found.version)) refused.push(`${candidate} is ${found.version}`);
    else if (!found.venv) refused.push(`${candidate} lacks venv or ensurepip`);
    else if (!libraryFolder) refused.push(`${candidate} has no ${library}`);
    else return { command: found.command, version: found.version, libraryFolder };
  }
  return {
    what:
      `Python ${versions[0] ?? ''} to ${versions.at(-1) ?? ''} with venv and a shared libpython ` +
      `(${refused.join('; ') || `no ${named ?? 'python3'} found`})`,
    install: 'apt-get install python3 python3-venv libpython3-dev; IMAGEN_PYTHON names a Python elsewhere',
  };
}
