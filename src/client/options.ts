import { type Config, readConfig } from '../config/index.js';

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
  'projectId' | 'pubsubEmulator' | 'storageEmulator' | 'jobsTopic' | 'statePrefix' | 'maxInputBytes'
> & { readonly uploadPrefix: string | undefined };

/** @throws ConfigError that names every wrong setting by its variable */
export function settingsFrom(options: ClientOptions): ClientSettings {
  const given = options.env ?? process.env;
  const { maxInputBytes } = options;
  const env = {
    ...given,
    GOOGLE_CLOUD_PROJECT: options.projectId ?? given.GOOGLE_CLOUD_PROJECT,
    PUBSUB_EMULATOR_HOST: options.pubsubEmulator ?? given.PUBSUB_EMULATOR_HOST,
    STORAGE_EMULATOR_HOST: options.storageEmulator ?? given.STORAGE_EMULATOR_HOST,
    IMAGEN_JOBS_TOPIC: options.jobsTopic ?? given.IMAGEN_JOBS_TOPIC,
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
      'statePrefix',
      'maxInputBytes',
      ...(env.IMAGEN_UPLOAD_PREFIX ? (['uploadPrefix'] as const) : []),
    ]);
  return { ...settings, uploadPrefix };
}
