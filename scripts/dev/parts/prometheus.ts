import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { which } from '../stack/paths.js';
import type { Part } from './part.js';
import { answers } from './probe.js';
import { asRuleFile, type RuleGroup, ruleGroups } from './rules.js';

/** Debian's Prometheus, where it is installed, with the alerts of k8s/monitoring. */
export const prometheus: Part = {
  ...{ id: 'prometheus', title: 'Prometheus', ports: ['prometheus'], readyTimeoutMs: 30_000 },

  skip: () =>
    which('prometheus') ? undefined : 'not installed (Debian package prometheus); the worker does not need it',

  async start({ dir, ports }) {
    const args = await configure({
      ...{ folder: join(dir, 'prometheus'), port: ports.prometheus, rules: ruleGroups() },
      ...{ scrapeEvery: '2s', evaluateEvery: '5s' },
      targets: { 'imagen-worker': [ports.worker], triton: [ports.tritonMetrics], backlog: [ports.backlog] },
    });
    return { command: 'prometheus', args, ready: () => answers(`http://127.0.0.1:${ports.prometheus}/-/ready`) };
  },
};

export interface PrometheusOptions {
  readonly folder: string;
  readonly port: number;
  readonly rules: readonly RuleGroup[];
  readonly scrapeEvery: string;
  readonly evaluateEvery: string;
  readonly targets: Readonly<Record<string, readonly number[]>>;
}

/** Writes its configuration; JSON is YAML. More workers are found in `targets/*.json`. @returns its arguments */
export async function configure(options: PrometheusOptions): Promise<string[]> {
  const { folder, port, rules, scrapeEvery, evaluateEvery, targets } = options;
  const config = join(folder, 'prometheus.yml');
  const files = join(folder, 'targets');
  await mkdir(files, { recursive: true });
  await writeFile(join(folder, 'rules.yml'), asRuleFile(rules));
  const labels = { namespace: 'imagen', cluster: 'local' };
  await writeFile(
    config,
    JSON.stringify({
      global: { scrape_interval: scrapeEvery, scrape_timeout: scrapeEvery, evaluation_interval: evaluateEvery },
      rule_files: [join(folder, 'rules.yml')],
      scrape_configs: Object.entries(targets).map(([job, ports]) => ({
        job_name: job,
        static_configs: [{ targets: ports.map((one) => `127.0.0.1:${one}`), labels }],
        ...(job === 'imagen-worker' && {
          file_sd_configs: [{ files: [join(files, '*.json')], refresh_interval: '5s' }],
          relabel_configs: Object.entries(labels).map(([name, value]) => ({ target_label: name, replacement: value })),
        }),
      })),
    }),
  );
  return [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
  ];
}
