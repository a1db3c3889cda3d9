/** The settings of the worker and the CLI, except those for traces. */
import { hostname } from 'node:os';
import { httpAddress, oneOf, prefix, prefixes, subscriptions, tenants, text, wholeNumber, word } from './readers.js';
import { setting } from './setting.js';

const MIB = 1024 ** 2;

export const OWN_SETTINGS = {
  projectId: setting('GOOGLE_CLOUD_PROJECT', text('the id of a project'), 'Google Cloud project'),
  pubsubEmulator: setting(
    'PUBSUB_EMULATOR_HOST',
    text('host:port'),
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
    text('host:port, or dns:///name:port'),
    "Triton's gRPC address: host:port, or dns:///name:port to spread over replicas",
  ),
  tritonAdminKey: setting(
    'TRITON_ADMIN_KEY',
    text('a key'),
    "Key of Triton's restricted protocols, for `imagen models reload` alone",
    null,
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
    text('a path'),
    "JSON file with each model's default version and experiment; read again when it changes",
    null,
  ),
  maxAttempts: setting('IMAGEN_MAX_ATTEMPTS', wholeNumber(1, 95), 'Deliveries of a job before it ends as failed', '5'),
  drainSeconds: setting('IMAGEN_DRAIN_SECONDS', wholeNumber(2, 600), 'Longest time between SIGTERM and exit', '25'),
  maxJobs: setting('IMAGEN_MAX_JOBS', wholeNumber(1, 1000), 'Jobs in work at once', '32'),
  maxDecodedBytes: setting(
    'IMAGEN_MAX_DECODED_BYTES',
    wholeNumber(1, 2 ** 40),
    'Memory for the pictures in work, in bytes; jobs wait for it, small ones have a part of their own',
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
    'How long what a job needs (a model, a bucket) may be away without a break, before the job ends as failed',
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
  poolThreads: setting(
    'UV_THREADPOOL_SIZE',
    wholeNumber(4, 1024),
    "Threads of Node's pool; decoders and encoders may have half of them",
    '4',
  ),
  port: setting('PORT', wholeNumber(0, 65_535), 'HTTP port of health and metrics', '8080'),
  logLevel: setting(
    'LOG_LEVEL',
    oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    'Least severity that is logged',
    'info',
  ),
  tenants: setting(
    'IMAGEN_TENANTS',
    tenants(50),
    'Tenants that metrics tell apart; all others together are `other`',
    '',
  ),
  revision: setting(
    'IMAGEN_REVISION',
    text('a name'),
    'What the worker was built from, for its metrics; set by the image',
    'unknown',
  ),
  workerName: setting('HOSTNAME', text('a name'), "The worker's name in completions and logs", hostname()),
};
