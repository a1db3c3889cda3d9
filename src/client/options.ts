import { z } from 'zod';
import { type Config, ConfigError, readConfig } from '../config/index.js';
import { expected, problemsOf } from './arguments.js';

/** Where the client publishes and reads. What is absent comes from the variable that the worker reads, too. */
export interface ClientOptions {
  /** `GOOGLE_CLOUD_PROJECT` */
  readonly projectId?: string;
  /** `PUBSUB_EMULATOR_HOST`: host:port; Google's service when neither is set */
  readonly pubsubEmulator?: string;
  /** `STORAGE_EMULATOR_HOST`: its address; Google's service when neither is set */
  readonly storageEmulator?: string;
  /** `IMAGEN_JOBS_TOPIC`, by default `imagen-jobs` */
  readonly jobsTopic?: string;
  /** `IMAGEN_COMPLETIONS_TOPIC`, by default `imagen-completions`; needed to wait by completions */
  readonly completionsTopic?: string;
  /** `IMAGEN_STATE_PREFIX`: where workers write records */
  readonly statePrefix?: string;
  /** `IMAGEN_UPLOAD_PREFIX`: where local pictures go. A client that names only `gs://` objects needs none. */
  readonly uploadPrefix?: string;
  /** `IMAGEN_MAX_INPUT_BYTES`: larger pictures are refused before they are uploaded, in bytes */
  readonly maxInputBytes?: number;
  /** Variables to read instead of `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export type ClientSettings = Pick<
  Config,
  | 'projectId'
  | 'pubsubEmulator'
  | 'storageEmulator'
  | 'jobsTopic'
  | 'completionsTopic'
  | 'statePrefix'
  | 'maxInputBytes'
> & { readonly uploadPrefix: string | undefined };

const VARIABLES = {
  projectId: 'GOOGLE_CLOUD_PROJECT',
  pubsubEmulator: 'PUBSUB_EMULATOR_HOST',
  storageEmulator: 'STORAGE_EMULATOR_HOST',
  jobsTopic: 'IMAGEN_JOBS_TOPIC',
  completionsTopic: 'IMAGEN_COMPLETIONS_TOPIC',
  statePrefix: 'IMAGEN_STATE_PREFIX',
  uploadPrefix: 'IMAGEN_UPLOAD_PREFIX',
  maxInputBytes: 'IMAGEN_MAX_INPUT_BYTES',
} as const satisfies Partial<Record<keyof ClientOptions, string>>;

const text = z.string().optional();
const OPTIONS = z.strictObject({
  ...{
    projectId: text,
    pubsubEmulator: text,
    storageEmulator: text,
    jobsTopic: text,
    completionsTopic: text,
    statePrefix: text,
  },
  ...{ uploadPrefix: text, maxInputBytes: expected('a number', (value) => typeof value === 'number') },
  env: expected('an object of variables', (value) => typeof value === 'object' && value !== null),
});

/** @throws ConfigError that names every wrong setting by its variable, and by its option where one was given */
export function settingsFrom(options: ClientOptions): ClientSettings {
  const problems = problemsOf(OPTIONS, options, []);
  if (problems.length > 0) throw new ConfigError(problems);
  try {
    return settingsOf(options);
  } catch (thrown) {
    throw thrown instanceof ConfigError ? withOptions(thrown, options) : thrown;
  }
}

/** `statePrefix (IMAGEN_STATE_PREFIX): …` for what the caller gave as an option. */
function withOptions({ problems }: ConfigError, options: ClientOptions): ConfigError {
  const named = (Object.keys(VARIABLES) as (keyof typeof VARIABLES)[]).filter((name) => options[name] !== undefined);
  return new ConfigError(
    problems.map((problem) => {
      const option = named.find((name) => problem.startsWith(`${VARIABLES[name]}:`));
      if (option === undefined) return problem;
      return `${option} (${VARIABLES[option]})${problem.slice(VARIABLES[option].length)}`;
    }),
  );
}

function settingsOf(options: ClientOptions): ClientSettings {
  const given = options.env ?? process.env;
  const { maxInputBytes } = options;
  const env = {
    ...given,
    GOOGLE_CLOUD_PROJECT: options.projectId ?? given.GOOGLE_CLOUD_PROJECT,
    PUBSUB_EMULATOR_HOST: options.pubsubEmulator ?? given.PUBSUB_EMULATOR_HOST,
    STORAGE_EMULATOR_HOST: options.storageEmulator ?? given.STORAGE_EMULATOR_HOST,
    IMAGEN_JOBS_TOPIC: options.jobsTopic ?? given.IMAGEN_JOBS_TOPIC,
    IMAGEN_COMPLETIONS_TOPIC: options.completionsTopic ?? given.IMAGEN_COMPLETIONS_TOPIC,
    IMAGEN_STATE_PREFIX: options.statePrefix ?? given.IMAGEN_STATE_PREFIX,
    IMAGEN_UPLOAD_PREFIX: options.uploadPrefix ?? given.IMAGEN_UPLOAD_PREFIX,
    IMAGEN_MAX_INPUT_BYTES: maxInputBytes === undefined ? given.IMAGEN_MAX_INPUT_BYTES : String(maxInputBytes),
  };
  const { uploadPrefix, ...settings }: Partial<Pick<Config, 'uploadPrefix'>> & Omit<ClientSettings, 'uploadPrefix'> =
    readConfig(env, [
      'projectId',
      'pubsubEmulator',
      'storageEmulator',
      'jobsTopic',
      'completionsTopic',
      'statePrefix',
      'maxInputBytes',
      ...(env.IMAGEN_UPLOAD_PREFIX ? (['uploadPrefix'] as const) : []),
    ]);
  return { ...settings, uploadPrefix };
}
