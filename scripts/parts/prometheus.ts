import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { which } from '../stack/paths.js';
import type { Part } from './part.js';
import { answers } from './probe.js';

/** Debian's Prometheus, where it is installed. JSON is YAML, so its configuration needs no templates. */
export const prometheus: Part = {
  id: 'prometheus',
  title: 'Prometheus',
  ports: ['prometheus'],
  readyTimeoutMs: 30_000,

  prerequisites: () => Promise.resolve([]),

  skip: () =>
    which('prometheus') ? undefined : 'not installed (Debian package prometheus); the worker does not need it',

  install: () => Promise.resolve(),

  async start({ dir, ports }) {
    const folder = join(dir, 'prometheus');
    const config = join(folder, 'prometheus.yml');
    const scrape = (job: string, port: number) => ({
      job_name: job,
      static_configs: [{ targets: [`127.0.0.1:${port}`] }],
    });
    await mkdir(folder, { recursive: true });
    await writeFile(
      config,
      JSON.stringify({
        global: { scrape_interval: '2s', evaluation_interval: '5s' },
        scrape_configs: [scrape('imagen-worker', ports.worker), scrape('triton', ports.tritonMetrics)],
      }),
    );
    return {
      command: 'prometheus',
      args: [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${ports.prometheus}`,
      ],
      ready: () => answers(`http://127.0.0.1:${ports.prometheus}/-/ready`),
    };
  },
};
