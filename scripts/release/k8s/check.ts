/** Builds every kustomization and checks every object against its schema: part of `npm run check`. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { installVenv } from '../../dev/parts/python.js';
import { run } from '../../dev/run.js';
import { cacheDir, localDir } from '../../dev/stack/paths.js';
import { isCustom, problemsOf } from './custom-resources.js';
import { build, kustomizations, type Manifest } from '../../dev/k8s/kustomize.js';

const PACKAGE = 'kubernetes-validate==1.37.0';
/** The oldest that it has, and the newest: between them the clusters of today. */
const VERSIONS = ['1.32', '1.37'] as const;

const began = performance.now();
const folders = kustomizations('Kustomization');
// The same object is in many of them; each form of it is looked at once.
const different = new Map<string, Manifest>();
const seen = new Set<string>();
let objects = 0;
for (const folder of folders) {
  for (const manifest of await build(folder)) {
    objects++;
    const text = JSON.stringify(manifest);
    if (!seen.has(text)) different.set(`${folder}/${manifest.kind}/${manifest.metadata.name}`, manifest);
    seen.add(text);
  }
}
const of = (custom: boolean) => new Map([...different].filter(([, manifest]) => isCustom(manifest) === custom));
// One object has a field that does not exist. If it passes, the check accepts anything and fails.
const canary = 'canary';
const wrong = {
  ...{ apiVersion: 'v1', kind: 'Service', metadata: { name: canary } },
  spec: { ports: [{ port: 80, protocl: 'TCP' }] },
};
const lines = (await problemsWith(new Map([...of(false), [canary, wrong]]))).split('\n').filter((line) => line !== '');
const missed = VERSIONS.length - lines.filter((line) => line.includes(canary)).length;
const problems = [
  ...[...of(true)].flatMap(([name, manifest]) => problemsOf(manifest).map((problem) => `${name}: ${problem}`)),
  ...lines.filter((line) => !line.includes(canary)),
  ...(missed > 0 ? ['the check of built-in resources does not find an unknown field'] : []),
];

if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exitCode = 1;
} else {
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(
    `k8s: ${folders.length} kustomizations, ${objects} objects, ${different.size} different, valid for ${VERSIONS.join(' and ')} (${seconds} s)`,
  );
}

/** Kubernetes' own, with the package that carries its schemas. @returns what is wrong; empty when all is well */
async function problemsWith(manifests: ReadonlyMap<string, Manifest>): Promise<string> {
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
