import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { FAILED_BY_US } from '../monitoring/codes.js';
import { boardSchema, dashboard } from './panels.js';

/** From its file here. `FAILED_BY_US` in a query stands for the codes that no publisher can mend. */
function board(name: string) {
  const text = readFileSync(new URL(`${name}.yaml`, import.meta.url), 'utf8');
  return dashboard(boardSchema.parse(parse(text.replaceAll('FAILED_BY_US', FAILED_BY_US))));
}

/** Each as the JSON that Grafana imports, by the name of its file in k8s/monitoring/dashboards. */
export const dashboards = {
  overview: board('overview'),
  triton: board('triton'),
  versions: board('versions'),
  job: board('job'),
};
