/** docker-compose.yml, read by the library that Docker Compose reads it with. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { root } from '../../dev/stack/paths.js';
import { run, type RunOptions } from './tools.js';

const LIBRARY = 'github.com/compose-spec/compose-go/v2/cmd@v2.16.2';

interface Service {
  readonly profiles?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly required?: boolean }>>;
  readonly networks?: Readonly<Record<string, { readonly aliases?: readonly string[] } | null>>;
}

export function composeChecks(options: RunOptions): Readonly<Record<string, () => Promise<unknown>>> {
  /** The services that a profile starts, each of which must find those that it needs. */
  const load = async (profile: string): Promise<Record<string, Service>> => {
    const out = await run('go', ['run', LIBRARY, '--format', 'json', join(root, 'docker-compose.yml')], options);
    const { services } = JSON.parse(out) as { readonly services: Readonly<Record<string, Service>> };
    const chosen = Object.fromEntries(
      Object.entries(services).filter(([, { profiles }]) => profiles?.includes(profile) ?? true),
    );
    for (const [name, { depends_on = {} }] of Object.entries(chosen)) {
      const needed = Object.keys(depends_on).filter((other) => depends_on[other]?.required !== false);
      for (const other of needed) assert.ok(other in chosen, `${name} needs ${other}`);
    }
    return chosen;
  };
  return {
    'docker-compose.yml keeps to the specification; Triton is on the CPU': async () => {
      const { COMPOSE_PROFILES: profile = '' } = parseEnv(readFileSync(join(root, '.env'), 'utf8'));
      const others = ['gcs', 'grafana', 'prometheus', 'pubsub', 'setup', 'worker'];
      assert.deepEqual(Object.keys(await load(profile)).sort(), [...others, 'triton'].sort());
    },

    'docker-compose.yml, profile gpu: the other Triton takes its place and its name': async () => {
      const services = await load('gpu');
      assert.equal('triton' in services, false);
      assert.deepEqual(services['triton-gpu']?.networks?.default?.aliases, ['triton']);
    },

    "Prometheus takes Compose's configuration": async () => {
      await run('promtool', ['check', 'config', join(root, 'scripts/release/compose/prometheus.yml')], options);
    },
  };
}
