/** What tests of Dockerfiles, the Compose file and Kubernetes manifests ask the code about, and how they read those. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { root } from '../../scripts/dev/stack/paths.js';
import { defaultPorts } from '../../scripts/dev/stack/ports.js';
import { readConfig, SETTINGS, WORKER_SETTINGS, type WorkerConfig } from '../../src/config/index.js';

export const readText = (path: string): string => readFileSync(join(root, path), 'utf8');

/** A YAML file of one document, merge keys (`<<`) resolved. */
export const readYaml = (path: string): unknown => parse(readText(path), { merge: true });

/** Every variable that the worker or another command reads. */
export const settingNames = (): string[] => Object.values(SETTINGS).map(({ name }) => name);

/** Variables without which a worker does not start. */
export const requiredWorkerSettings = (): string[] =>
  WORKER_SETTINGS.map((key) => SETTINGS[key])
    .filter(({ fallback }) => fallback === undefined)
    .map(({ name }) => name);

/** @throws ConfigError where a worker would refuse to start in this environment */
export const workerConfig = (env: Readonly<Record<string, string>>): WorkerConfig => readConfig(env, WORKER_SETTINGS);

/** Where the parts listen unless told otherwise. */
export const standardPorts = () => defaultPorts({});

/** Paths that the worker's HTTP server answers, as its own text for all others names them. */
export const workerPaths = (): string[] =>
  [...readText('src/telemetry/http.ts').matchAll(/request\.url === '(\/\w+)'/g)].map(([, path = '']) => path);

/** Variables that triton/entrypoint.sh reads, with their defaults where they are plain text. */
export function tritonVariables(): Readonly<Record<string, string>> {
  const found = [...readText('triton/entrypoint.sh').matchAll(/\$\{([A-Z_]+):-([^$}]*)/g)];
  return Object.fromEntries(found.map(([, name = '', value = '']) => [name, value]));
}

/** The value of one of tritonserver's flags in triton/entrypoint.sh. */
export const tritonFlag = (name: string): string | undefined =>
  new RegExp(`--${name}=([\\w.-]+)`).exec(readText('triton/entrypoint.sh'))?.[1];

export interface Instruction {
  readonly name: string;
  /** As it stands there, lines joined, flags (`--from=x`) taken off. */
  readonly text: string;
  readonly flags: Readonly<Record<string, string>>;
}

/** A Dockerfile's instructions, continued lines joined, by stage; the first has what comes before any FROM. */
export function readDockerfile(path: string): Instruction[][] {
  const lines = readText(path)
    .split('\n')
    .filter((line) => !/^\s*(?:#|$)/.test(line))
    .join('\n')
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n');
  const stages: Instruction[][] = [[]];
  for (const line of lines) {
    const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    const flags = Object.fromEntries(
      [...rest.matchAll(/(?:^|\s)--([\w-]+)=(\S+)(?=\s)/g)].map(([, flag = '', value = '']) => [flag, value]),
    );
    if (name === 'FROM') stages.push([]);
    const text = rest.replaceAll(/^(?:--[\w-]+=\S+\s+)+/g, '');
    stages.at(-1)?.push({ name, flags, text });
  }
  return stages;
}
