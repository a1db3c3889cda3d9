/** Builds every kustomization and checks every object against its schema: part of `npm run check`. */
import { problemsWith, VERSIONS } from './built-in-resources.js';
import { isCustom, problemsOf } from './custom-resources.js';
import { build, kustomizations } from './kustomize.js';
import type { Manifest } from './manifest.js';

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
const problems = [
  ...[...of(true)].flatMap(([name, manifest]) => problemsOf(manifest).map((problem) => `${name}: ${problem}`)),
  await problemsWith(of(false)),
].filter((problem) => problem !== '');

if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exitCode = 1;
} else {
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(
    `k8s: ${folders.length} kustomizations, ${objects} objects, ${different.size} different, valid for ${VERSIONS.join(' and ')} (${seconds} s)`,
  );
}
