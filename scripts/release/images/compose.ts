/** docker-compose.yml, read by the library that Docker Compose reads it with. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { root } from '../../dev/stack/paths.js';
import { run, type RunOptions } from './tools.js';

interface Project {
  readonly services: Readonly<
    Record<string, { readonly networks?: Readonly<Record<string, { readonly aliases?: readonly string[] } | null>> }>
  >;
}

export function composeChecks(options: RunOptions): Readonly<Record<string, () => Promise<string | undefined>>> {
  const load = async (...profiles: string[]): Promise<Project> => {
    const out = await run('go', ['run', '.', join(root, 'docker-compose.yml'), ...profiles], {
      ...{ ...options, cwd: join(root, 'scripts/release/images/compose') },
    });
    return JSON.parse(out) as Project;
  };
  return {
    'docker-compose.yml keeps to the specification; Triton is on the CPU': async () => {
      const { services } = await load();
      assert.deepEqual(Object.keys(services).sort(), [
        'gcs',
        'grafana',
        'prometheus',
        'pubsub',
        'setup',
        'triton',
        'worker',
      ]);
      return undefined;
    },

    'docker-compose.yml, profile gpu: the other Triton takes its place and its name': async () => {
      const { services } = await load('gpu');
      assert.equal('triton' in services, false);
      assert.deepEqual(services['triton-gpu']?.networks?.default?.aliases, ['triton']);
      return undefined;
    },

    "Prometheus takes Compose's configuration": async () => {
      await run('promtool', ['check', 'config', join(root, 'scripts/release/compose/prometheus.yml')], options);
      return undefined;
    },
  };
}
