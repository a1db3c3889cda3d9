/** Builds the manifests of k8s/, with the kustomize that is in kubectl. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { run } from '../run.js';
import { root, which } from '../stack/paths.js';

export type Labels = Readonly<Record<string, string>>;

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Labels;
    readonly annotations?: Labels;
  };
}

export const k8sDir = join(root, 'k8s');
const OLDEST_MINOR = 27;

/** Every kustomization.yaml of its kind, as folders relative to k8s/. A Component can only be built as part of another. */
export function kustomizations(kind: 'Kustomization' | 'Component'): string[] {
  return readdirSync(k8sDir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('kustomization.yaml'))
    .filter((name) => readKustomization(dirname(name)).kind === kind)
    .map((name) => dirname(name))
    .sort();
}

/** What people apply: each needs nothing but to be applied, k8s/worker after k8s/triton. */
export const applicable = (): string[] =>
  kustomizations('Kustomization').filter((folder) => !folder.startsWith('components/') && folder !== 'namespace');

interface Kustomization {
  readonly kind: string;
  readonly resources?: readonly string[];
  readonly components?: readonly string[];
}

export const readKustomization = (folder: string): Kustomization =>
  parse(readFileSync(join(k8sDir, folder, 'kustomization.yaml'), 'utf8')) as Kustomization;

/** @throws Error that says what to install, or kustomize's own about what cannot be built */
export async function build(folder: string): Promise<Manifest[]> {
  const { stdout } = await run(await kubectl(), ['kustomize', join(k8sDir, folder)]);
  return parseAllDocuments(stdout).map((document) => {
    if (document.errors[0]) throw document.errors[0];
    return document.toJS() as Manifest;
  });
}

let found: Promise<string> | undefined;

/** @throws Error where there is none, or only one that is too old */
export const kubectl = (): Promise<string> => (found ??= find());

async function find(): Promise<string> {
  const program = which('kubectl');
  const wanted = `kubectl 1.${OLDEST_MINOR} or newer is needed: gcloud components install kubectl, or the Debian package kubectl`;
  if (program === undefined) throw new Error(`${wanted}; there is none on the PATH`);
  const { stdout } = await run(program, ['version', '--client', '--output=json']);
  const { clientVersion } = JSON.parse(stdout) as { clientVersion: { gitVersion: string } };
  const minor = Number(/^v1\.(\d+)/.exec(clientVersion.gitVersion)?.[1]);
  if (!(minor >= OLDEST_MINOR)) throw new Error(`${wanted}; ${program} is ${clientVersion.gitVersion}`);
  return program;
}
