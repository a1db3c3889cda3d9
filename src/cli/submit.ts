import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { createObjectStore } from '../adapters/gcs/store.js';
import { PubSubChannel, PUBLISHING } from '../adapters/pubsub/channel.js';
import { createPublisher } from '../adapters/pubsub/publisher.js';
import { type Config, readConfig, TRACING_SETTINGS } from '../config/index.js';
import type { Completion, Step } from '../domain/completion.js';
import { jobAttributes, type JobMessage, PRIORITIES } from '../domain/job.js';
import type { ObjectStore } from '../domain/ports.js';
import { objectRef, objectUri, under } from '../domain/uri.js';
import { startTracing } from '../tracing/tracing.js';
import { contextIn, inSpan } from '../tracing/spans.js';
import { recall } from '../records/recall.js';
import { retryingStore } from '../pipeline/retry.js';
import { checkedJob, operationsOf, outputOf, readLocalFile, RENDER_OPTIONS, type RenderFlags } from './operations.js';
import { CommandFailed, type Invocation, UsageError } from './usage.js';

interface Flags extends RenderFlags {
  readonly jobId?: string;
  readonly outputUri?: string;
  readonly outputPrefix?: string;
  readonly priority?: (typeof PRIORITIES)[number];
  readonly experimentKey?: string;
  readonly deadline?: string;
  readonly timeout?: string;
  readonly metadata?: string;
  readonly wait?: boolean;
  readonly waitSeconds: string;
  readonly download?: string;
  readonly json?: boolean;
}

const POLL_MS = 200;
/** Time limit for sending the spans of this command, in milliseconds. */
const FLUSH_MS = 2_000;
const RETRY = { unavailableMs: 30_000, failedAttempts: 3 };

export function submitCommand(invocation: Invocation): Command {
  const command = new Command('submit')
    .description('publish a job for a local file or a Cloud Storage object')
    .argument('<file>', 'a local file, or gs://bucket/object');
  for (const option of RENDER_OPTIONS) command.addOption(option);
  return command
    .option('--job-id <id>', 'the idempotency key; the default is made of the file name and a random part')
    .option('--output-uri <gs://…>', 'exact address of the result')
    .option('--output-prefix <gs://…>', 'prefix of the result')
    .option('--experiment-key <key>', 'for whom it is: the same key gets the same arm of an experiment')
    .addOption(new Option('--priority <priority>', 'how urgent it is').choices(PRIORITIES))
    .option('--deadline <time>', 'absolute, such as 2026-12-01T12:00:00Z')
    .option('--timeout <seconds>', 'limit of one attempt')
    .option('--metadata <json>', 'object to be echoed in the completion')
    .option('--wait', "wait for the job's outcome; exit 1 unless it succeeded")
    .option('--wait-seconds <seconds>', 'how long to wait', '600')
    .option('-o, --download <file>', 'with --wait: save the result here')
    .option('--json', 'print the outcome, or without --wait the job, as JSON on standard output')
    .action(async (file: string, flags: Flags) => {
      invocation.exitCode = await submit(file, flags, invocation.env);
    });
}

async function submit(file: string, flags: Flags, env: NodeJS.ProcessEnv): Promise<number> {
  const config = readConfig(env, [
    'projectId',
    'pubsubEmulator',
    'storageEmulator',
    'jobsTopic',
    'statePrefix',
    'uploadPrefix',
    ...TRACING_SETTINGS,
  ]);
  if (flags.download !== undefined && !flags.wait) throw new UsageError('--download needs --wait');
  const waitMs = Number(flags.waitSeconds) * 1000;
  if (!(waitMs > 0)) throw new UsageError(`--wait-seconds: expected a number of seconds, given ${flags.waitSeconds}`);
  const say = (line: string) => console.error(line);

  const store = retryingStore(createObjectStore({ emulator: config.storageEmulator }), RETRY);
  const message = messageOf(file, flags, config.uploadPrefix);
  const job = checkedJob(message);

  const tracing = await startTracing(config, undefined, (what, reason) => say(`${what}: ${reason}`));
  try {
    // A calling program passes its trace in these variables, by OpenTelemetry's convention.
    const parent = contextIn({ traceparent: env.TRACEPARENT, tracestate: env.TRACESTATE });
    await inSpan('imagen submit', { parent, attributes: () => ({ 'imagen.job_id': job.jobId }) }, async () => {
      if (!file.startsWith('gs://')) {
        const bytes = readLocalFile(file);
        await inSpan('upload', {}, () => upload(store, message.input.uri, bytes));
        say(`uploaded   ${message.input.uri} (${bytes.length} bytes)`);
      }
      await publish(config, message);
    });
  } finally {
    await tracing.stop(FLUSH_MS);
  }
  say(`published  ${job.jobId}: ${job.operations.map((operation) => operation.model).join(' → ')}`);
  if (!flags.wait) {
    if (flags.json) console.log(JSON.stringify(message));
    return 0;
  }

  const completion = await waitForRecord(store, config.statePrefix, job.jobId, waitMs, say);
  if (flags.json) console.log(JSON.stringify(completion));
  say(describe(completion));
  if (completion.status !== 'succeeded' || !completion.output) return 1;
  if (flags.download !== undefined) {
    const { uri, generation, bytes } = completion.output;
    const found = await store.read(
      { ...objectRef(uri), generation },
      { maxBytes: bytes, signal: AbortSignal.timeout(waitMs) },
    );
    if (found.kind !== 'found') throw new UsageError(`${uri}: the result is no longer there`);
    writeFileSync(flags.download, found.bytes);
    say(`saved      ${flags.download}`);
  }
  return 0;
}

function messageOf(file: string, flags: Flags, uploadPrefix: string): JobMessage {
  const stem = basename(file)
    .replace(/\.[^.]*$/, '')
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '');
  const jobId = flags.jobId ?? `${stem.slice(0, 80) || 'job'}-${randomBytes(5).toString('hex')}`;
  const uri = file.startsWith('gs://') ? file : objectUri(under(uploadPrefix, `${jobId}/${basename(file)}`));
  const place = { uri: flags.outputUri, prefix: flags.outputPrefix };
  const output = { ...outputOf(flags), ...definedOnly(place) };
  return definedOnly({
    schemaVersion: 1 as const,
    jobId,
    operations: operationsOf(flags),
    input: { uri },
    output: Object.keys(output).length > 0 ? output : undefined,
    priority: flags.priority ?? ('interactive' as const),
    deadline: flags.deadline,
    experimentKey: flags.experimentKey,
    timeoutSeconds: flags.timeout === undefined ? undefined : Number(flags.timeout),
    metadata: flags.metadata === undefined ? undefined : parseMetadata(flags.metadata),
  }) as JobMessage;
}

function definedOnly<T extends object>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}

function parseMetadata(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>; // checked with the rest of the message
  } catch {
    throw new UsageError(`--metadata: expected JSON, given ${text}`);
  }
}

async function upload(store: ObjectStore, uri: string, bytes: Buffer): Promise<void> {
  const signal = AbortSignal.timeout(RETRY.unavailableMs);
  const done = await store.create(objectRef(uri), bytes, { contentType: 'application/octet-stream', signal });
  if (done.kind === 'exists' && !done.sameBytes)
    throw new UsageError(`${uri} holds another file: choose another --job-id`);
}

async function publish(config: Pick<Config, 'projectId' | 'pubsubEmulator' | 'jobsTopic'>, message: JobMessage) {
  const channel = new PubSubChannel({
    projectId: config.projectId,
    emulator: config.pubsubEmulator,
    pings: PUBLISHING,
  });
  try {
    const data = Buffer.from(JSON.stringify(message));
    await createPublisher(channel, config.jobsTopic).publish(data, jobAttributes(message));
  } finally {
    channel.close();
  }
}

/** Polls for the record and not for completions, so that waiters never take each other's messages. */
async function waitForRecord(
  store: ObjectStore,
  statePrefix: string,
  jobId: string,
  limitMs: number,
  say: (line: string) => void,
): Promise<Completion> {
  const startedAt = Date.now();
  const signal = AbortSignal.timeout(limitMs);
  let reported = 0;
  for (;;) {
    const record = await recall(store, statePrefix, jobId, signal).catch((error: unknown) => {
      if (signal.aborted) return undefined;
      throw error;
    });
    if (record) return record.completion;
    const seconds = Math.floor((Date.now() - startedAt) / 1000);
    if (signal.aborted) throw new CommandFailed(`${jobId}: no outcome after ${seconds} s; is a worker running?`);
    if (seconds >= reported + 5) {
      reported = seconds;
      say(`waiting    ${seconds} s`);
    }
    await sleep(POLL_MS);
  }
}

function describe({ jobId, status, error, output, steps, timingsMs }: Completion): string {
  const time = timingsMs ? `${timingsMs.total} ms` : '';
  if (!output)
    return `${status.padEnd(10)} ${jobId ?? ''}: ${error ? `${error.code}: ${error.message}` : 'no error'} ${time}`.trimEnd();
  const made = (steps ?? []).map(describeStep).join(' → ');
  return `${status.padEnd(10)} ${output.uri} (${output.width}x${output.height}, ${output.bytes} bytes) by ${made} in ${time}`;
}

function describeStep({ model, servedVersion, experiment, arm, fallbackFrom }: Step): string {
  const why =
    arm === undefined ? '' : ` (arm ${experiment}/${arm}${fallbackFrom ? `, after ${fallbackFrom} failed` : ''})`;
  return `${model}@${servedVersion}${why}`;
}
