/**
 * All settings of the worker and the CLI in one table: variable, meaning, default and parser. A test compares
 * docs/configuration.md with this table.
 */
import { OPENTELEMETRY_SETTINGS } from './opentelemetry.js';
import { OWN_SETTINGS } from './own.js';
import { Expected, type Setting, type Value } from './setting.js';
import { isPermitted, under } from '../domain/uri.js';

export type { WeightedSubscription } from './readers.js';

export const SETTINGS = { ...OWN_SETTINGS, ...OPENTELEMETRY_SETTINGS } satisfies Record<string, Setting<unknown>>;

export type SettingKey = keyof typeof SETTINGS;
export type Config = { readonly [K in SettingKey]: Value<(typeof SETTINGS)[K]> };

/** All problems of the environment, one line per problem. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(readonly problems: readonly string[]) {
    super(`the configuration cannot be used:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
  }
}

/**
 * Reads the named settings. An empty variable counts as unset.
 * @throws ConfigError that names every wrong variable, what was expected and what was given
 */
export function readConfig<const K extends SettingKey>(env: Environment, keys: readonly K[]): Pick<Config, K> {
  const { values, problems } = readSettings(env, keys);
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze(values) as Pick<Config, K>;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads what can be read of the named settings, and says what is wrong with the others, one line per problem. */
export function readSettings<const K extends SettingKey>(
  env: Environment,
  keys: readonly K[],
): { readonly values: Partial<Pick<Config, K>>; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const values: Partial<Record<SettingKey, unknown>> = {};
  for (const key of keys) {
    const { name, about, read, fallback }: Setting<unknown> = SETTINGS[key];
    const given = env[name] === '' ? undefined : env[name];
    const source = given ?? fallback;
    if (source === null) continue;
    const value = read(source ?? '');
    if (value instanceof Expected) {
      const shown = given === undefined ? `nothing (${about})` : (value.given ?? JSON.stringify(given));
      problems.push(`${name}: ${value.sentence}, given ${shown}`);
    } else values[key] = value;
  }
  problems.push(...contradictions(values as Partial<Config>));
  return { values: values as Partial<Pick<Config, K>>, problems };
}

/** Settings that commands with tracing read. */
export const TRACING_SETTINGS = Object.keys(OPENTELEMETRY_SETTINGS) as (keyof typeof OPENTELEMETRY_SETTINGS)[];

/** Settings that only commands other than the worker read. */
export const NOT_FOR_WORKERS = [
  'tritonAdminKey',
  'tritonAdminKeyFile',
  'uploadPrefix',
  'deadLetterSubscription',
] as const satisfies readonly SettingKey[];
type WorkerSetting = Exclude<SettingKey, (typeof NOT_FOR_WORKERS)[number]>;
export type WorkerConfig = Pick<Config, WorkerSetting>;
export const WORKER_SETTINGS = (Object.keys(SETTINGS) as SettingKey[]).filter(
  (key): key is WorkerSetting => !NOT_FOR_WORKERS.some((other) => other === key),
);

/** Variables that look like settings and are not; most likely typing errors. */
export function unknownVariables(env: Environment): string[] {
  const known = new Set<string>(Object.values(SETTINGS).map(({ name }) => name));
  return Object.keys(env).filter((name) => /^IMAGEN_(?!STACK_|TEST_)/.test(name) && !known.has(name));
}

/** Settings that are right alone and wrong together, one line per problem. */
function contradictions(values: Partial<Config>): string[] {
  return [...twoKeys(values), ...sharedTopics(values), ...openRecords(values)];
}

function twoKeys({ tritonAdminKey, tritonAdminKeyFile }: Partial<Config>): string[] {
  if (tritonAdminKey === undefined || tritonAdminKeyFile === undefined) return [];
  return ['TRITON_ADMIN_KEY_FILE: expected nothing beside TRITON_ADMIN_KEY, given both'];
}

/** A worker would take its own completions or dead letters for jobs, answer each with another one, and never end. */
function sharedTopics(values: Partial<Config>): string[] {
  const topics = (['jobsTopic', 'completionsTopic', 'deadLetterTopic'] as const).filter((key) => values[key]);
  return topics.flatMap((key, at) => {
    const other = topics.slice(0, at).find((before) => values[before] === values[key]);
    if (other === undefined) return [];
    const given = JSON.stringify(values[key]);
    return [`${SETTINGS[key].name}: expected a topic of its own, given ${given}, which is ${SETTINGS[other].name} too`];
  });
}

function openRecords({ statePrefix, allowedInputs, allowedOutputs }: Partial<Config>): string[] {
  if (statePrefix === undefined) return [];
  const record = under(statePrefix, 'x.json');
  const open = [...(allowedInputs ?? []), ...(allowedOutputs ?? [])].filter((allowed) =>
    isPermitted(record, [allowed]),
  );
  return open.map(
    (allowed) =>
      `IMAGEN_STATE_PREFIX: expected a place that no job can read or write, given ${JSON.stringify(statePrefix)} under the permitted ${JSON.stringify(allowed)}`,
  );
}
