/**
 * Makes what is committed of the monitoring's sources: Grafana's dashboards, and the alerts for Compose's Prometheus.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { program } from 'commander';
import { format, resolveConfig } from 'prettier';
import { dashboards } from './dashboards/index.js';
import { asRuleFile, ruleGroups } from '../dev/parts/rules.js';
import { root } from '../dev/stack/paths.js';

const folder = 'k8s/monitoring/dashboards';
const { check } = program
  .name('npm run dashboards --')
  .option('--check', 'write nothing, and fail where something is stale')
  .parse()
  .opts<{ check?: true }>();

const wanted = new Map(
  Object.entries(dashboards).map(([name, board]) => [`${folder}/${name}.json`, JSON.stringify(board.build())]),
);
wanted.set(
  'scripts/release/compose/rules.yml',
  `# For docker-compose.yml; made of k8s/monitoring by \`npm run dashboards\`.\n${asRuleFile(ruleGroups())}`,
);
const stale: string[] = [];
for (const [name, text] of wanted) {
  const path = join(root, name);
  const formatted = await format(text, { ...(await resolveConfig(path)), filepath: path });
  if (existsSync(path) && readFileSync(path, 'utf8') === formatted) continue;
  stale.push(name);
  if (check) continue;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, formatted);
}
for (const name of readdirSync(join(root, folder)).map((file) => `${folder}/${file}`)) {
  if (!name.endsWith('.json') || wanted.has(name)) continue;
  stale.push(name);
  if (!check) rmSync(join(root, name));
}

if (check && stale.length > 0) {
  console.error(`stale, to be made by \`npm run dashboards\`: ${stale.join(', ')}`);
  process.exitCode = 1;
} else {
  const names = stale.length > 0 ? stale.join(', ') : 'none';
  console.log(check ? `dashboards: ${wanted.size} files are as their sources` : `written: ${names}`);
}
