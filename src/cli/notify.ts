/** `imagen setup --notify`: a bucket whose new objects become jobs. */
import type { WantedNotification } from '../adapters/gcs/notifications.js';
import { arrivalOf, JOB_KEY } from '../domain/notification.js';
import { jobAttributes, type JobMessage, parseJob } from '../domain/job.js';
import { JobError } from '../domain/errors.js';
import { overlap, parsePrefix } from '../domain/uri.js';
import type { Config } from '../config/index.js';
import { operationsOf } from './operations.js';
import { UsageError } from './usage.js';

export interface NotifyFlags {
  readonly notify?: string;
  readonly operation?: string[];
  readonly outputPrefix?: string;
}

/** Cloud Storage's limit on the value of a custom attribute, in characters. */
const MOST_VALUE = 1_024;

/**
 * @returns undefined without `--notify`
 * @throws UsageError
 */
export function wantedNotification(
  config: Pick<Config, 'projectId' | 'jobsTopic' | 'statePrefix' | 'uploadPrefix' | 'storageEmulator'>,
  { notify, operation, outputPrefix }: NotifyFlags,
): WantedNotification | undefined {
  if (notify === undefined) {
    if (operation ?? outputPrefix) throw new UsageError('--operation and --output-prefix: expected with --notify');
    return undefined;
  }
  const place = parsePrefix(notify);
  if (typeof place === 'string') throw new UsageError(`--notify: ${place}, given ${notify}`);
  if (config.storageEmulator !== undefined) {
    throw new UsageError('--notify: expected Cloud Storage itself; its emulator has no notifications by bucket');
  }
  if (!operation)
    throw new UsageError('--notify: expected --operation, which says what is to be done with new objects');
  for (const [variable, prefix] of [
    ['IMAGEN_STATE_PREFIX', config.statePrefix],
    ['IMAGEN_UPLOAD_PREFIX', config.uploadPrefix],
  ] as const) {
    if (overlap(notify, prefix))
      throw new UsageError(`--notify: expected a place apart from ${variable}, ${prefix}, given ${notify}`);
  }
  const job = {
    operations: operationsOf({ operation }),
    ...(outputPrefix === undefined ? {} : { output: { prefix: outputPrefix } }),
  };
  const objectPrefix = place.folder === '' ? '' : `${place.folder}/`;
  const attributes = { [JOB_KEY]: JSON.stringify(job), ...jobAttributes(job as unknown as JobMessage) };
  check(place.bucket, objectPrefix, attributes);
  return {
    bucket: place.bucket,
    objectPrefix,
    topic: `projects/${config.projectId}/topics/${config.jobsTopic}`,
    attributes,
  };
}

/** Reads the job as the worker will, for an object that might come. */
function check(bucketId: string, prefix: string, attributes: Readonly<Record<string, string>>): void {
  const length = attributes[JOB_KEY]?.length ?? 0;
  if (length > MOST_VALUE) {
    throw new UsageError(`--operation: expected at most ${MOST_VALUE} characters of JSON, given ${length}`);
  }
  const event = { eventType: 'OBJECT_FINALIZE', payloadFormat: 'JSON_API_V1', objectGeneration: '1' };
  const message = {
    data: Buffer.from('{}'),
    attributes: { ...event, bucketId, objectId: `${prefix}x`, ...attributes },
  };
  try {
    const arrival = arrivalOf(message, 'gs://none');
    if (arrival.kind === 'job') parseJob(arrival.published.data);
    if (arrival.kind === 'invalid') throw arrival.error;
  } catch (error) {
    throw error instanceof JobError ? new UsageError(error.message) : error;
  }
}
