/** Where `imagen setup` has completions delivered: its options, and the subscriptions that they ask for. */
import type { Command } from 'commander';
import type { CompletionsSubscription } from '../../adapters/pubsub/admin.js';
import { type DeliveryType, PULL } from '../../adapters/pubsub/delivery-type.js';
import { MOST_FILTER_BYTES } from '../../adapters/pubsub/filters.js';
import type { Config } from '../../config/index.js';
import { overlap, parsePrefix } from '../../domain/uri.js';
import { UsageError } from '../usage.js';

export interface CompletionsFlags {
  readonly completionsSubscription: readonly string[];
  readonly completionsPush: readonly string[];
  readonly completionsBigquery: readonly string[];
  readonly completionsBucket: readonly string[];
  readonly completionsFilter?: string;
  readonly completionsDeadLetterTopic?: string;
  readonly pushServiceAccount?: string;
  readonly pushAudience?: string;
}

type Needed = Pick<
  Config,
  'projectId' | 'pubsubEmulator' | 'jobsTopic' | 'completionsTopic' | 'deadLetterTopic' | 'statePrefix' | 'uploadPrefix'
>;

/** How long a webhook may take to answer, in seconds. */
const PUSH_SECONDS = 30;
/** A file in Cloud Storage is closed after so many seconds: Pub/Sub's default. */
const FILE_SECONDS = 300;
/** Pub/Sub acks what is in a file when the file is closed, and so needs a longer ack deadline. */
const FILE_ACK_SECONDS = 600;
const FILE_BYTES = 100_000_000;

const collect = (one: string, before: readonly string[]) => [...before, one];

/** Adds the options that {@link wantedCompletions} reads. */
export function completionsOptions(command: Command): Command {
  const reader = 'also a subscription to the completions';
  return command
    .option('--completions-subscription <name>', `${reader}, for a reader of yours (may be repeated)`, collect, [])
    .option('--completions-push <name=url>', `${reader} that posts each one to a webhook`, collect, [])
    .option('--push-service-account <email>', 'with --completions-push: account whose token the requests carry')
    .option('--push-audience <text>', 'with --push-service-account: audience of the token (default: the url)')
    .option('--completions-bigquery <name=table>', `${reader} that fills a table of BigQuery`, collect, [])
    .option('--completions-bucket <name=gs://…>', `${reader} that writes files of JSON lines`, collect, [])
    .option('--completions-filter <filter>', 'filter of these subscriptions on attributes, such as NOT attributes:type')
    .option(
      '--completions-dead-letter-topic <name>',
      'topic for completions that a webhook or table has refused 100 times',
    );
}

/** The subscriptions to completions that the flags ask for. @throws UsageError */
export function wantedCompletions(config: Needed, flags: CompletionsFlags): CompletionsSubscription[] {
  const { completionsFilter: filter, completionsDeadLetterTopic: deadLetterTopic } = flags;
  const wanted = [
    ...flags.completionsSubscription.map((name) => ({ name, delivery: PULL })),
    ...flags.completionsPush.map((text) => named('--completions-push', text, (url) => pushTo(url, config, flags))),
    ...flags.completionsBigquery.map((text) =>
      named('--completions-bigquery', text, (table) => writeTable(table, config)),
    ),
    ...flags.completionsBucket.map((text) => named('--completions-bucket', text, (place) => writeFiles(place, config))),
  ];
  checkTogether(wanted, flags);
  checkDeadLetterTopic(config, deadLetterTopic);
  return wanted.map((one) => ({
    ...one,
    topic: config.completionsTopic,
    filter,
    ...(one.delivery.kind === 'push' || one.delivery.kind === 'BigQuery' ? { deadLetterTopic } : {}),
  }));
}

/** @throws UsageError */
function named(flag: string, text: string, parse: (value: string) => DeliveryType | string) {
  const [, name, value] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  if (name === undefined || value === undefined) {
    throw new UsageError(`${flag}: expected <name of the subscription>=<where to>, given ${text}`);
  }
  const delivery = parse(value);
  if (typeof delivery === 'string') throw new UsageError(`${flag}: ${delivery}, given ${value}`);
  return { name, delivery };
}

/** @returns a sentence that says what is wrong (`expected …`) */
function pushTo(text: string, { pubsubEmulator }: Needed, flags: CompletionsFlags): DeliveryType | string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'https:' && !(pubsubEmulator !== undefined && url?.protocol === 'http:')) {
    return 'expected the https:// address of a webhook (http:// only with an emulator)';
  }
  if (url.username !== '' || url.password !== '' || url.hash !== '') {
    return 'expected an address without a user, a password or a fragment';
  }
  const { pushServiceAccount: serviceAccountEmail, pushAudience: audience = text } = flags;
  const oidcToken = serviceAccountEmail === undefined ? undefined : { serviceAccountEmail, audience };
  return {
    kind: 'push',
    ackDeadlineSeconds: PUSH_SECONDS,
    config: { pushEndpoint: text, ...(oidcToken ? { oidcToken } : {}) },
    warnings:
      pubsubEmulator === undefined
        ? oidcToken
          ? []
          : [`${text} cannot tell who calls it: give --push-service-account, and let it verify the token`]
        : oidcToken
          ? ['the emulator pushes without a token']
          : [],
  };
}

function writeTable(text: string, { projectId, pubsubEmulator }: Needed): DeliveryType | string {
  const [, project = projectId, rest] =
    /^(?:([a-z][a-z0-9:.-]*[a-z0-9])\.)?(\w{1,1024}\.[\w-]{1,1024})$/.exec(text) ?? [];
  if (rest === undefined) return 'expected project.dataset.table, or dataset.table';
  const table = `${project}.${rest}`;
  // Without a schema, the whole body is in one column: a new field can neither be lost nor be refused.
  return { kind: 'BigQuery', config: { table, writeMetadata: true }, warnings: writerWarnings(table, pubsubEmulator) };
}

function writeFiles(text: string, config: Needed): DeliveryType | string {
  const place = parsePrefix(text);
  if (typeof place === 'string') return place;
  for (const [variable, prefix] of [
    ['IMAGEN_STATE_PREFIX', config.statePrefix],
    ['IMAGEN_UPLOAD_PREFIX', config.uploadPrefix],
  ] as const) {
    if (overlap(text, prefix)) return `expected a place apart from ${variable}, ${prefix}`;
  }
  const { bucket, folder } = place;
  const files = {
    bucket,
    filenamePrefix: folder === '' ? '' : `${folder}/`,
    filenameDatetimeFormat: 'YYYY-MM-DD/hh_mm_ssZ',
    filenameSuffix: '.jsonl',
    textConfig: {},
    maxDuration: { seconds: FILE_SECONDS },
    maxBytes: FILE_BYTES,
  };
  const warnings = writerWarnings(`gs://${bucket}`, config.pubsubEmulator);
  return { kind: 'Cloud Storage', ackDeadlineSeconds: FILE_ACK_SECONDS, config: files, warnings };
}

function writerWarnings(where: string, emulator: string | undefined): string[] {
  return emulator === undefined ? [] : [`the emulator writes nothing to ${where}: it keeps the messages`];
}

/**
 * A topic of imagen's own would lead what a webhook refused into the queue of jobs, or back to the webhook, again and again.
 * @throws UsageError
 */
function checkDeadLetterTopic(config: Needed, topic: string | undefined): void {
  for (const [variable, taken] of [
    ['IMAGEN_JOBS_TOPIC', config.jobsTopic],
    ['IMAGEN_COMPLETIONS_TOPIC', config.completionsTopic],
    ['IMAGEN_DEAD_LETTER_TOPIC', config.deadLetterTopic],
  ] as const) {
    if (topic !== taken) continue;
    throw new UsageError(
      `--completions-dead-letter-topic: expected a topic of its own, given ${topic}, which is ${variable}`,
    );
  }
}

/** @throws UsageError for flags that need others, names that cannot be, and names that come twice */
function checkTogether(wanted: readonly { name: string; delivery: DeliveryType }[], flags: CompletionsFlags): void {
  const pushes = flags.completionsPush.length > 0;
  const { completionsFilter, completionsDeadLetterTopic, pushServiceAccount, pushAudience } = flags;
  const problems: (readonly [boolean, string])[] = [
    [pushServiceAccount !== undefined && !pushes, '--push-service-account: expected with --completions-push'],
    [
      pushServiceAccount !== undefined && !/^[^@\s]+@[^@\s]+\.gserviceaccount\.com$/.test(pushServiceAccount),
      `--push-service-account: expected the email of a service account, given ${pushServiceAccount ?? ''}`,
    ],
    [
      pushAudience !== undefined && pushServiceAccount === undefined,
      '--push-audience: expected with --push-service-account',
    ],
    [
      completionsFilter !== undefined && wanted.length === 0,
      '--completions-filter: expected with a subscription to completions',
    ],
    [
      Buffer.byteLength(completionsFilter ?? '') > MOST_FILTER_BYTES,
      `--completions-filter: expected at most ${MOST_FILTER_BYTES} bytes`,
    ],
    [
      completionsDeadLetterTopic !== undefined &&
        !wanted.some(({ delivery }) => ['push', 'BigQuery'].includes(delivery.kind)),
      '--completions-dead-letter-topic: expected with --completions-push or --completions-bigquery',
    ],
    ...wanted.map(
      ({ name }) =>
        [
          !/^(?!goog)[A-Za-z][\w.~+%-]{2,254}$/.test(name),
          `${name}: expected the name of a subscription: 3 to 255 letters, digits, "-", "_", ".", "~", "+" or "%", a letter first, not goog`,
        ] as const,
    ),
    ...wanted.map(
      ({ name }, at) =>
        [
          wanted.findIndex((other) => other.name === name) < at,
          `${name}: expected one subscription of each name, given several`,
        ] as const,
    ),
  ];
  const wrong = problems.filter(([is]) => is).map(([, text]) => text);
  if (wrong.length > 0) throw new UsageError(wrong.join('\nimagen: '));
}
