/** The rules of k8s/monitoring, as they are shipped, for Prometheus and promtool. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import { root } from '../stack/paths.js';

const folder = join(root, 'k8s/monitoring');

export interface RuleGroup {
  readonly name: string;
  readonly interval?: string;
  readonly rules: readonly Rule[];
}

export interface Rule {
  readonly record?: string;
  readonly alert?: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: { readonly groups: readonly RuleGroup[] };
}

/** Every group of every Rules and GlobalRules; a name that several have is told apart by that of its object. */
export function ruleGroups(): RuleGroup[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml');
  const manifests = files
    .flatMap((name) => parseAllDocuments(readFileSync(join(folder, name), 'utf8')))
    .map((document) => document.toJS() as Manifest);
  return ['Rules', 'GlobalRules']
    .flatMap((wanted) => manifests.filter(({ kind }) => kind === wanted))
    .flatMap(({ metadata, spec }) =>
      spec.groups.map((group) => ({ ...group, name: `${metadata.name}/${group.name}` })),
    );
}

export const asRuleFile = (groups: readonly RuleGroup[]): string => stringify({ groups }, { lineWidth: 0 });
