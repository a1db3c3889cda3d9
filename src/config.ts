/**
 * Every setting of the worker and the CLI, in one table: its variable, what it means, its default, how it is read.
 * docs/configuration.md is checked against this table by a test.
 */
import { hostname } from 'node:os';
import { isPermitted, parsePrefix, under } from './domain/uri.js';

/** A reader answers with a value, or with a sentence that begins with "expected". */
type Reader<T> = (text: string) => T | Expected;
class Expected {
  constructor(
    readonly sentence: string,
    /** Instead of the text that was given, where that may be secret. */
    readonly given?: string,
  ) {}
}
const expected = (sentence: string, given?: string) => new Expected(`expected ${sentence}`, given);

interface Setting<T> {
  readonly name: string;
  readonly about: string;
  readonly read: Reader<T>;
  /** Text, read like any other; absent means required, null means optional. */
  readonly fallback: string | null | undefined;
}

type Value<S> = S extends { readonly read: Reader<infer T>; readonly fallback: null }
  ? T | undefined
  : S extends { readonly read: Reader<infer T> }
    ? T
    : never;

const text: Reader<string> = (value) => value;
const word: Reader<string> = (value) => (/^[A-Za-z0-9][\w.~+%-]*$/.test(value) ? value : expected('a resource name'));
const prefix: Reader<string> = (value) =>
  typeof parsePrefix(value) === 'string' ? expected('gs://<bucket>/<prefix>') : value;
const prefixes: Reader<readonly string[]> = (value) => {
  const items = list(value);
  return items.every((item) => typeof parsePrefix(item) !== 'string')
    ? items
    : expected('gs:// prefixes, separated by commas');
};
const list = (value: string) =>
  value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
const wholeNumber =
  (minimum: number, maximum: number): Reader<number> =>
  (value) => {
    const number = /^[0-9]+$/.test(value) ? Number(value) : NaN;
    return number >= minimum && number <= maximum ? number : expected(`a whole number from ${minimum} to ${maximum}`);
  };
const oneOf =
  <T extends string>(...choices: readonly T[]): Reader<T> =>
  (value) =>
    choices.find((choice) => choice === value) ?? expected(`one of ${choices.join(', ')}`);
const ratio: Reader<number> = (value) => {
  const number = /^[0-9]*\.?[0-9]+$/.test(value) ? Number(value) : NaN;
  return number >= 0 && number <= 1 ? number : expected('a number from 0 to 1');
};
const yesOrNo: Reader<boolean> = (value) =>
  ({ true: true, false: false })[value.toLowerCase()] ?? expected('true or false');
const httpUrl: Reader<string> = (value) =>
  /^https?:\/\//.test(value) && URL.canParse(value) ? value : expected('an address such as http://host:4318');
const httpAddress: Reader<string> = (value) => {
  const url = /^https?:\/\//.test(value) ? value : `http://${value}`;
  return URL.canParse(url) ? url.replace(/\/+$/, '') : expected('host:port or http://host:port');
};
const canBeDecoded = (value: string) => {
  try {
    decodeURIComponent(value);
    return true;
  } catch {
    return false;
  }
};
/** As OpenTelemetry has it: "key=value,key=value", with percent-encoding. It is not shown: headers hold credentials. */
const pairs =
  (pair: RegExp): Reader<string> =>
  (value) =>
    list(value).every((item) => pair.test(item) && canBeDecoded(item))
      ? value
      : expected('key=value pairs, separated by commas and percent-encoded', 'something else');
const headers = pairs(/^[\w!#$%&'*+.^`|~-]+\s*=\s*[^\s;][^;]*$/);
const attributes = pairs(/^[^\s=][^=]{0,254}=[^=]{0,255}$/);

export interface WeightedSubscription {
  readonly name: string;
  readonly weight: number;
}
const subscriptions: Reader<readonly WeightedSubscription[]> = (value) => {
  const parsed = list(value).map((item) => /^([A-Za-z][\w.~+%-]*)(?:=([1-9][0-9]{0,3}))?$/.exec(item));
  return parsed.length > 0 && parsed.every((match) => match !== null)
    ? parsed.map(([, name = '', weight = '1']) => ({ name, weight: Number(weight) }))
    : expected('subscription names with optional weights, such as "jobs-interactive=3,jobs-batch"');
};

const MIB = 1024 ** 2;

const setting = <T, const F extends string | null | undefined = undefined>(
  name: string,
  read: Reader<T>,
  about: string,
  fallback?: F,
) =>
  ({ name, read, about, fallback }) as {
    readonly name: string;
    readonly about: string;
    readonly read: Reader<T>;
    readonly fallback: F;
  };

export const SETTINGS = {
  projectId: setting('GOOGLE_CLOUD_PROJECT', text, 'Google Cloud project'),
  pubsubEmulator: setting(
    'PUBSUB_EMULATOR_HOST',
    text,
    "host:port of a Pub/Sub emulator; unset for Google's service",
    null,
  ),
  storageEmulator: setting(
    'STORAGE_EMULATOR_HOST',
    httpAddress,
    "Address of a Cloud Storage emulator; unset for Google's service",
    null,
  ),
  tritonUrl: setting(
    'TRITON_URL',
    text,
    "Triton's gRPC address: host:port, or dns:///name:port to spread over replicas",
  ),
  tritonTransport: setting(
    'IMAGEN_TRITON_TRANSPORT',
    oneOf('auto', 'unary', 'stream', 'shm'),
    'How tensors travel',
    'auto',
  ),
  jobsTopic: setting(
    'IMAGEN_JOBS_TOPIC',
    word,
    'Where jobs are published, and put back by workers when their model or storage is down',
    'imagen-jobs',
  ),
  jobsSubscriptions: setting(
    'IMAGEN_JOBS_SUBSCRIPTIONS',
    subscriptions,
    'What the worker pulls, each with an optional =weight',
    'imagen-jobs-worker',
  ),
  completionsTopic: setting('IMAGEN_COMPLETIONS_TOPIC', word, 'Where completions are published', 'imagen-completions'),
  deadLetterTopic: setting(
    'IMAGEN_DEAD_LETTER_TOPIC',
    word,
    'Where messages end that nobody can work on',
    'imagen-dead-letters',
  ),
  deadLetterSubscription: setting(
    'IMAGEN_DEAD_LETTER_SUBSCRIPTION',
    word,
    'Keeps the dead letters until somebody looks',
    'imagen-dead-letters-review',
  ),
  outputPrefix: setting('IMAGEN_OUTPUT_PREFIX', prefix, 'Where results go when the job does not say'),
  statePrefix: setting('IMAGEN_STATE_PREFIX', prefix, 'Where records go; nobody else may write there'),
  uploadPrefix: setting('IMAGEN_UPLOAD_PREFIX', prefix, 'Where `imagen submit` puts local files'),
  allowedInputs: setting(
    'IMAGEN_ALLOWED_INPUTS',
    prefixes,
    'Prefixes that jobs may read from; unset permits nothing',
    '',
  ),
  allowedOutputs: setting(
    'IMAGEN_ALLOWED_OUTPUTS',
    prefixes,
    'Prefixes that jobs may write to; unset permits nothing',
    '',
  ),
  routesFile: setting(
    'IMAGEN_ROUTES_FILE',
    text,
    "JSON file with each model's default version and experiment; read again when it changes",
    null,
  ),
  maxAttempts: setting('IMAGEN_MAX_ATTEMPTS', wholeNumber(1, 95), 'Deliveries of a job before it ends as failed', '5'),
  drainSeconds: setting('IMAGEN_DRAIN_SECONDS', wholeNumber(2, 600), 'Longest time between SIGTERM and exit', '25'),
  maxJobs: setting('IMAGEN_MAX_JOBS', wholeNumber(1, 1000), 'Jobs in work at once', '32'),
  maxDecodedBytes: setting(
    'IMAGEN_MAX_DECODED_BYTES',
    wholeNumber(1, 2 ** 40),
    'Memory for the pictures in work, in bytes; jobs wait for it, and one that needs more works alone',
    String(2048 * MIB),
  ),
  maxInputBytes: setting(
    'IMAGEN_MAX_INPUT_BYTES',
    wholeNumber(1, 2 ** 31),
    'Largest input file, in bytes',
    String(64 * MIB),
  ),
  maxInputPixels: setting(
    'IMAGEN_MAX_INPUT_PIXELS',
    wholeNumber(1, 2 ** 30),
    'Largest input picture, in pixels',
    '100000000',
  ),
  maxOutputPixels: setting(
    'IMAGEN_MAX_OUTPUT_PIXELS',
    wholeNumber(1, 2 ** 30),
    'Largest intermediate or final picture, in pixels',
    '268435456',
  ),
  modelWaitSeconds: setting(
    'IMAGEN_MODEL_WAIT_SECONDS',
    wholeNumber(0, 600),
    'How long a job waits in place for a model that is not ready',
    '10',
  ),
  storageWaitSeconds: setting(
    'IMAGEN_STORAGE_WAIT_SECONDS',
    wholeNumber(0, 600),
    'How long a job waits in place for storage that does not answer',
    '30',
  ),
  maxDeferredSeconds: setting(
    'IMAGEN_MAX_DEFERRED_SECONDS',
    wholeNumber(0, 604_800),
    'How long a job is put off because its model or storage is down, before it ends as failed',
    '86400',
  ),
  inferenceTimeoutSeconds: setting(
    'IMAGEN_INFERENCE_TIMEOUT_SECONDS',
    wholeNumber(1, 3600),
    'Limit of one inference, its time in the queue included',
    '120',
  ),
  inferenceAttempts: setting(
    'IMAGEN_INFERENCE_ATTEMPTS',
    wholeNumber(1, 20),
    'Attempts in place at an inference that fails',
    '3',
  ),
  port: setting('PORT', wholeNumber(0, 65_535), 'HTTP port of health and metrics', '8080'),
  logLevel: setting(
    'LOG_LEVEL',
    oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    'Least severity that is logged',
    'info',
  ),
  revision: setting(
    'IMAGEN_REVISION',
    text,
    'What the worker was built from, for its metrics; set by the image',
    'unknown',
  ),
  otelDisabled: setting('OTEL_SDK_DISABLED', yesOrNo, 'true: no traces, whatever else is set', null),
  tracesExporter: setting(
    'OTEL_TRACES_EXPORTER',
    oneOf('otlp', 'none'),
    'otlp: traces are exported; so they are when an endpoint is set',
    null,
  ),
  otlpEndpoint: setting(
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    httpUrl,
    'Base address of the collector of traces; otlp without one is http://localhost:4318',
    null,
  ),
  otlpTracesEndpoint: setting(
    'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
    httpUrl,
    'Full address for traces, in place of the base address',
    null,
  ),
  otlpProtocol: setting(
    'OTEL_EXPORTER_OTLP_PROTOCOL',
    oneOf('http/protobuf'),
    'How traces travel: there is no other way',
    null,
  ),
  otlpTracesProtocol: setting(
    'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL',
    oneOf('http/protobuf'),
    'The same, for traces alone',
    null,
  ),
  tracesSampler: setting(
    'OTEL_TRACES_SAMPLER',
    oneOf(
      ...(['always_on', 'always_off', 'traceidratio'] as const),
      ...(['parentbased_always_on', 'parentbased_always_off', 'parentbased_traceidratio'] as const),
    ),
    'Which traces are kept; unset: what the publisher says, and all that begin here',
    null,
  ),
  tracesSamplerArg: setting('OTEL_TRACES_SAMPLER_ARG', ratio, 'The part that the ratio samplers keep', null),
  spanQueueSize: setting('OTEL_BSP_MAX_QUEUE_SIZE', wholeNumber(1, 1_000_000), 'Spans that wait at most', null),
  spanBatchSize: setting(
    'OTEL_BSP_MAX_EXPORT_BATCH_SIZE',
    wholeNumber(1, 1_000_000),
    'Spans sent at once at most',
    null,
  ),
  spanDelay: setting('OTEL_BSP_SCHEDULE_DELAY', wholeNumber(1, 3_600_000), 'Milliseconds between two batches', null),
  spanTimeout: setting('OTEL_BSP_EXPORT_TIMEOUT', wholeNumber(1, 3_600_000), 'Milliseconds for one batch', null),
  otlpTimeout: setting(
    'OTEL_EXPORTER_OTLP_TIMEOUT',
    wholeNumber(1, 3_600_000),
    'Milliseconds for the attempts to send one batch',
    null,
  ),
  otlpTracesTimeout: setting(
    'OTEL_EXPORTER_OTLP_TRACES_TIMEOUT',
    wholeNumber(1, 3_600_000),
    'The same, for traces alone',
    null,
  ),
  otlpCompression: setting(
    'OTEL_EXPORTER_OTLP_COMPRESSION',
    oneOf('none', 'gzip'),
    'How batches are packed; unset: none',
    null,
  ),
  otlpTracesCompression: setting(
    'OTEL_EXPORTER_OTLP_TRACES_COMPRESSION',
    oneOf('none', 'gzip'),
    'The same, for traces alone',
    null,
  ),
  otlpHeaders: setting('OTEL_EXPORTER_OTLP_HEADERS', headers, 'Headers for the collector: key=value,key=value', null),
  otlpTracesHeaders: setting('OTEL_EXPORTER_OTLP_TRACES_HEADERS', headers, 'The same, for traces alone', null),
  resourceAttributes: setting(
    'OTEL_RESOURCE_ATTRIBUTES',
    attributes,
    'What all spans say of their service: key=value,key=value',
    null,
  ),
  workerName: setting('HOSTNAME', text, "The worker's name in completions and logs", hostname()),
} satisfies Record<string, Setting<unknown>>;

export type SettingKey = keyof typeof SETTINGS;
export type Config = { readonly [K in SettingKey]: Value<(typeof SETTINGS)[K]> };

/** Everything that is wrong with the environment, a line each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(readonly problems: readonly string[]) {
    super(`the configuration cannot be used:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
  }
}

/**
 * Reads the named settings; an empty variable counts as unset.
 * @throws ConfigError naming every wrong variable, what was expected and what was given
 */
export function readConfig<const K extends SettingKey>(
  env: Readonly<Record<string, string | undefined>>,
  keys: readonly K[],
): Pick<Config, K> {
  const problems: string[] = [];
  const values: Partial<Record<SettingKey, unknown>> = {};
  for (const key of keys) {
    const { name, read, fallback }: Setting<unknown> = SETTINGS[key];
    const given = env[name] === '' ? undefined : env[name];
    const source = given ?? fallback;
    if (source === null) continue;
    const value = source === undefined ? expected(SETTINGS[key].about) : read(source);
    if (value instanceof Expected) {
      const shown = given === undefined ? 'nothing' : (value.given ?? JSON.stringify(given));
      problems.push(`${name}: ${value.sentence}, given ${shown}`);
    } else values[key] = value;
  }
  problems.push(...contradictions(values as Partial<Config>));
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze(values) as Pick<Config, K>;
}

/** What commands that trace read. Most of it the SDK reads for itself, but says nothing of what it cannot use. */
export const TRACING_SETTINGS = [
  ...(['otelDisabled', 'tracesExporter', 'otlpEndpoint', 'otlpTracesEndpoint', 'otlpProtocol'] as const),
  ...(['otlpTracesProtocol', 'tracesSampler', 'tracesSamplerArg'] as const),
  ...(['spanQueueSize', 'spanBatchSize', 'spanDelay', 'spanTimeout', 'otlpTimeout', 'otlpTracesTimeout'] as const),
  ...(['otlpCompression', 'otlpTracesCompression', 'otlpHeaders', 'otlpTracesHeaders', 'resourceAttributes'] as const),
] satisfies readonly SettingKey[];

/** Settings that only the other commands read. */
const NOT_FOR_WORKERS = ['uploadPrefix', 'deadLetterSubscription'] as const satisfies readonly SettingKey[];
type WorkerSetting = Exclude<SettingKey, (typeof NOT_FOR_WORKERS)[number]>;
export type WorkerConfig = Pick<Config, WorkerSetting>;
export const WORKER_SETTINGS = (Object.keys(SETTINGS) as SettingKey[]).filter(
  (key): key is WorkerSetting => !NOT_FOR_WORKERS.some((other) => other === key),
);

/** Variables that look like ours and are not: most likely a slip of the pen. */
export function unknownVariables(env: Readonly<Record<string, string | undefined>>): string[] {
  const known = new Set<string>(Object.values(SETTINGS).map(({ name }) => name));
  return Object.keys(env).filter((name) => /^IMAGEN_(?!STACK_|TEST_)/.test(name) && !known.has(name));
}

function contradictions({ statePrefix, allowedInputs, allowedOutputs }: Partial<Config>): string[] {
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
