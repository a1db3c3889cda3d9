/** Checks Kubernetes' own resources against its schemas, strictly, with the package that carries them. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { installVenv } from '../../dev/parts/python.js';
import { cacheDir, localDir } from '../../dev/stack/paths.js';
import type { Manifest } from './manifest.js';

const run = promisify(execFile);

const PACKAGE = 'kubernetes-validate==1.37.0';
/** The oldest that it has, and the newest: between them the clusters of today. */
export const VERSIONS = ['1.32', '1.37'] as const;

/** @returns what is wrong, as the package puts it; empty when all is well */
export async function problemsWith(manifests: ReadonlyMap<string, Manifest>): Promise<string> {
  const program = join(await install(), 'bin/kubernetes-validate');
  await mkdir(localDir, { recursive: true });
  const folder = await mkdtemp(join(localDir, 'manifests-'));
  try {
    const files = [...manifests.keys()].map((name) => `${name.replaceAll('/', '_')}.json`);
    await Promise.all(
      [...manifests.values()].map((manifest, i) => writeFile(join(folder, files[i] ?? ''), JSON.stringify(manifest))),
    );
    let problems = '';
    for (const version of VERSIONS) {
      problems += await run(program, ['--kubernetes-version', version, '--strict', '--quiet', ...files], {
        cwd: folder,
      }).then(
        ({ stdout }) => stdout,
        (error: unknown) => {
          const { stdout = '', stderr = '', message } = error as Error & { stdout?: string; stderr?: string };
          return stdout + stderr || message;
        },
      );
    }
    return problems;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function install(): Promise<string> {
  const venv = join(cacheDir, 'kubernetes-validate');
  const context = {
    step: () => undefined,
    run: async (command: string, args: readonly string[]) => {
      await run(command, args);
    },
  };
  await installVenv(context, venv, {
    key: PACKAGE,
    essential: () => ['bin/kubernetes-validate'],
    pip: { [PACKAGE]: [PACKAGE] },
  });
  return venv;
}
