/**
 * Cloud Storage's notifications of new objects, as jobs. A bucket can publish them to the jobs topic, so that an upload is
 * all that a user has to do. The format is Google's (https://cloud.google.com/storage/docs/pubsub-notifications): the
 * attributes name the event and the object, and the data is the object's resource in the JSON API.
 *
 * What is to be done comes from two places, both called `imagen-job`: an attribute that the bucket's notification
 * configuration adds to each message, and the object's own metadata, whose fields go before. Each is a job message as JSON,
 * without `jobId` and `input`.
 */
import { JobError } from './errors.js';
import { sha256 } from './fingerprint.js';
import { jobAttributes, type JobMessage, SCHEMA_VERSION } from './job.js';
import { isPermitted, objectUri } from './uri.js';

/** Name of the attribute, and of the metadata key, that holds the job. */
export const JOB_KEY = 'imagen-job';
/** Metadata of results, which are no jobs, even if they are written beside the inputs. */
export const RESULT_KEY = 'imagen-job-id';

const PAYLOAD = 'JSON_API_V1';
const NEW_OBJECT = 'OBJECT_FINALIZE';
/** Google's names, and that of our own. They say nothing about the job that the message becomes. */
const EVENT_ATTRIBUTES: ReadonlySet<string> = new Set([
  ...['notificationConfig', 'eventType', 'payloadFormat', 'bucketId', 'objectId', 'objectGeneration', 'eventTime'],
  ...['overwroteGeneration', 'overwrittenByGeneration', JOB_KEY],
]);

/** Why a notification is no job. */
export const IGNORED = ['no new object', 'a result', 'a record', 'a folder', 'no job'] as const;
export type IgnoredReason = (typeof IGNORED)[number];

export interface Published {
  readonly data: Buffer;
  readonly attributes: Readonly<Record<string, string>>;
}

export type Arrival<P extends Published> =
  /** The message, or for a notification the message of its job in its place. */
  | { readonly kind: 'job'; readonly published: P }
  | { readonly kind: 'invalid'; readonly jobId: string; readonly error: JobError }
  | { readonly kind: 'ignored'; readonly reason: IgnoredReason };

/**
 * Reads a message that may be a notification. The job's id is made of the bucket, the object's generation and its name. So
 * a notification that comes twice is one job, and an object that is overwritten is another one.
 * @param statePrefix where records are written: a record that became a job would end with another record, and so on
 */
export function arrivalOf<P extends Published>(published: P, statePrefix: string): Arrival<P> {
  const { eventType, bucketId, objectId, objectGeneration = '', payloadFormat } = published.attributes;
  if (eventType === undefined || bucketId === undefined || objectId === undefined) return { kind: 'job', published };
  if (eventType !== NEW_OBJECT) return { kind: 'ignored', reason: 'no new object' };
  if (objectId.endsWith('/')) return { kind: 'ignored', reason: 'a folder' };
  const object = { bucket: bucketId, name: objectId };
  if (isPermitted(object, [statePrefix])) return { kind: 'ignored', reason: 'a record' };
  const jobId = jobIdOf(bucketId, objectId, objectGeneration);
  try {
    if (payloadFormat !== PAYLOAD) throw invalid('payloadFormat', PAYLOAD, payloadFormat);
    const metadata = metadataIn(published.data);
    if (RESULT_KEY in metadata) return { kind: 'ignored', reason: 'a result' };
    const [general, own] = [templateIn(published.attributes, 'attribute'), templateIn(metadata, 'metadata')];
    if (!general && !own) return { kind: 'ignored', reason: 'no job' };
    const input = { uri: objectUri(object), generation: objectGeneration };
    const message = { schemaVersion: SCHEMA_VERSION, ...general, ...own, jobId, input } as JobMessage;
    const data = Buffer.from(JSON.stringify(message));
    return { kind: 'job', published: { ...published, data, attributes: attributesOf(message, published) } };
  } catch (thrown) {
    return { kind: 'invalid', jobId, error: JobError.from(thrown, 'parse') };
  }
}

/** At most 4 + 63 + 1 + 18 + 1 + 24 characters. Ids of one bucket begin alike, and so can be listed. */
function jobIdOf(bucket: string, object: string, generation: string): string {
  const digits = generation.replace(/[^0-9]/g, '').slice(0, 18);
  return `gcs:${bucket.replace(/[^A-Za-z0-9._-]/g, '-').slice(0, 63)}:${digits}:${sha256(`${bucket}/${object}`).slice(0, 24)}`;
}

/** The object's own metadata; anybody who may upload can set it. */
function metadataIn(data: Buffer): Readonly<Record<string, string>> {
  const resource = parsed(data.toString('utf8'), "the object's resource");
  const { metadata = {} } = resource as { metadata?: unknown };
  if (typeof metadata !== 'object' || metadata === null) throw invalid('metadata', 'an object', metadata);
  return metadata as Readonly<Record<string, string>>;
}

function templateIn(from: Readonly<Record<string, string>>, where: string): object | undefined {
  const text = Object.hasOwn(from, JOB_KEY) ? from[JOB_KEY] : undefined;
  if (text === undefined) return undefined;
  const template = parsed(text, `${where} ${JOB_KEY}`);
  for (const name of ['jobId', 'input', 'redriveOf']) {
    if (name in template) throw new JobError('INVALID_MESSAGE', `${where} ${JOB_KEY}: expected no ${name}`);
  }
  return template;
}

function parsed(text: string, what: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid(what, 'JSON', text);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid(what, 'a JSON object', text);
  return value;
}

/** Attributes of the job's message, as its publisher would have set them. */
function attributesOf(message: JobMessage, { attributes }: Published): Record<string, string> {
  const others = Object.entries(attributes).filter(([name]) => !EVENT_ATTRIBUTES.has(name));
  // What is wrong with the operations is the parser's to say.
  const named = Array.isArray(message.operations) ? jobAttributes(message) : {};
  return { ...Object.fromEntries(others), ...named };
}

const SHOWN = 200;

function invalid(what: string, expected: string, given: unknown): JobError {
  const text = String(given);
  return new JobError(
    'INVALID_MESSAGE',
    `notification: ${what}: expected ${expected}, given ${text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text}`,
  );
}
