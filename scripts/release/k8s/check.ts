/** Builds every kustomization and checks every object against its schema: part of `npm run check`. */
import { problemsWith, VERSIONS } from './built-in-resources.js';
import { isCustom, problemsOf } from './custom-resources.js';
import { build, kustomizations, type Manifest } from './kustomize.js';

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
// A check that takes anything would be found out: one object has a field that there is none of.
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
