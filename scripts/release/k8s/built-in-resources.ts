/** Checks Kubernetes' own resources against its schemas, strictly, with the package that carries them. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { installVenv } from '../../dev/parts/python.js';
import { run } from '../../dev/run.js';
import { cacheDir, localDir } from '../../dev/stack/paths.js';
import type { Manifest } from './kustomize.js';

const PACKAGE = 'kubernetes-validate==1.37.0';
/** The oldest that it has, and the newest: between them the clusters of today. */
export const VERSIONS = ['1.32', '1.37'] as const;

/** @returns what is wrong, as the package puts it; empty when all is well */
export async function problemsWith(manifests: ReadonlyMap<string, Manifest>): Promise<string> {
  const venv = join(cacheDir, 'kubernetes-validate');
  const program = 'bin/kubernetes-validate';
  const wanted = { key: PACKAGE, essential: () => [program], pip: { [PACKAGE]: [PACKAGE] } };
  await installVenv({ step: () => undefined, run }, venv, wanted);
  await mkdir(localDir, { recursive: true });
  const folder = await mkdtemp(join(localDir, 'manifests-'));
  try {
    const files = [...manifests.keys()].map((name) => `${name.replaceAll('/', '_')}.json`);
    await Promise.all(
      [...manifests.values()].map((manifest, i) => writeFile(join(folder, files[i] ?? ''), JSON.stringify(manifest))),
    );
    let problems = '';
    for (const version of VERSIONS) {
      const how = ['--kubernetes-version', version, '--strict', '--quiet', ...files];
      problems += await run(join(venv, program), how, { cwd: folder }).then(
        ({ stdout }) => stdout,
        (error: unknown) => (error as Error).message,
      );
    }
    return problems;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
