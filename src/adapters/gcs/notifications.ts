/** Plans a bucket's notifications of new objects. */
import type { NotificationMetadata, Storage } from '@google-cloud/storage';
import { JOB_KEY } from '../../domain/notification.js';
import { type Step, StepFailed } from '../plan.js';
import { within } from '../within.js';
import { httpStatus } from './errors.js';

const CALL_LIMIT_MS = 30_000;
const EVENT = 'OBJECT_FINALIZE';

export interface WantedNotification {
  readonly bucket: string;
  /** Only objects whose names begin with it; empty for all. */
  readonly objectPrefix: string;
  /** `projects/P/topics/NAME` */
  readonly topic: string;
  /** Attributes of each message: the job as JSON, and those by which subscriptions filter. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** A notification cannot be changed. One that differs is an obstacle, since to replace it would miss objects, or tell them twice. */
export async function planNotification(storage: Storage, want: WantedNotification): Promise<Step> {
  const { bucket, objectPrefix, topic, attributes } = want;
  const name = `gs://${bucket}/${objectPrefix}`;
  const found = (await existing(storage, bucket)).filter(
    (one) => one.topic?.endsWith(topic) && (one.object_name_prefix ?? '') === objectPrefix,
  );
  const same = found.find((one) => isSame(one, want));
  const other = same ? undefined : found[0];
  return {
    ...{ kind: 'notification', name, warnings: [] },
    todo: same ? 'nothing' : 'create',
    details: same ? [] : [`of new objects, to ${topic}`, `${JOB_KEY}: ${attributes[JOB_KEY] ?? ''}`],
    obstacles: other
      ? [
          `${name} already notifies ${topic} in another way (id ${other.id ?? 'unknown'}): delete that with "gcloud storage buckets notifications delete", then run this again`,
        ]
      : [],
    async apply() {
      if (same) return;
      const what = `create a notification of ${name}`;
      const options = {
        ...{ customAttributes: { ...attributes }, eventTypes: [EVENT], payloadFormat: 'JSON_API_V1' },
        ...(objectPrefix === '' ? {} : { objectNamePrefix: objectPrefix }),
      };
      try {
        await within(CALL_LIMIT_MS, what, () => storage.bucket(bucket).createNotification(topic, options));
      } catch (error) {
        throw new StepFailed(what, error);
      }
    },
  };
}

async function existing(storage: Storage, bucket: string): Promise<NotificationMetadata[]> {
  const what = `list the notifications of bucket ${bucket}`;
  try {
    const [found] = await within(CALL_LIMIT_MS, what, () => storage.bucket(bucket).getNotifications());
    return found.map(({ metadata }) => metadata);
  } catch (error) {
    // A bucket that setup will create has none.
    if (httpStatus(error) === 404) return [];
    throw new StepFailed(what, error);
  }
}

function isSame(found: NotificationMetadata, { attributes }: WantedNotification): boolean {
  const { custom_attributes: has = {}, event_types: events = [], payload_format: format } = found;
  const names = new Set([...Object.keys(has), ...Object.keys(attributes)]);
  return (
    format === 'JSON_API_V1' &&
    events.length === 1 &&
    events[0] === EVENT &&
    [...names].every((key) => has[key] === attributes[key])
  );
}
