/** The rules of k8s/monitoring, as they are shipped, for Prometheus and promtool. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { k8sDir, parseManifests } from '../k8s/kustomize.js';
import { ofKind, type RuleGroup } from '../k8s/manifest.js';

const monitoringDir = join(k8sDir, 'monitoring');

/** Every group of every Rules and GlobalRules; a name that several have is told apart by that of its object. */
export function ruleGroups(): RuleGroup[] {
  const files = readdirSync(monitoringDir).filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml');
  const manifests = files.flatMap((name) => parseManifests(readFileSync(join(monitoringDir, name), 'utf8')));
  return [...ofKind(manifests, 'Rules'), ...ofKind(manifests, 'GlobalRules')].flatMap(({ metadata, spec }) =>
    spec.groups.map((group) => ({ ...group, name: `${metadata.name}/${group.name}` })),
  );
}

/** In the format of Prometheus' rule files. */
export const asRuleFile = (groups: readonly RuleGroup[]): string => stringify({ groups }, { lineWidth: 0 });
