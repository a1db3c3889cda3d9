/** Plans a bucket's notifications of new objects. */
import { JOB_KEY } from '../../domain/notification.js';
import { type SetupStep, StepFailed } from '../setup-step.js';
import { type AdminApi, statusOf } from './admin-api.js';

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

/** Some properties of https://cloud.google.com/storage/docs/json_api/v1/notifications#resource. */
interface Notification {
  readonly id?: string;
  readonly topic?: string;
  readonly object_name_prefix?: string;
  readonly custom_attributes?: Readonly<Record<string, string>>;
  readonly event_types?: readonly string[];
  readonly payload_format?: string;
}

/**
 * A notification cannot be changed. One that differs is an obstacle, since a replacement would miss objects or announce
 * them twice.
 */
export async function planNotification(api: AdminApi, want: WantedNotification): Promise<SetupStep> {
  const { bucket, objectPrefix, topic, attributes } = want;
  const name = `gs://${bucket}/${objectPrefix}`;
  const found = (await existing(api, bucket)).filter(
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
      const creation: Notification = {
        ...{ topic: `//pubsub.googleapis.com/${topic}`, payload_format: 'JSON_API_V1' },
        ...{ event_types: [EVENT], custom_attributes: attributes },
        ...(objectPrefix === '' ? {} : { object_name_prefix: objectPrefix }),
      };
      try {
        await api.call('POST', `/b/${bucket}/notificationConfigs`, creation);
      } catch (error) {
        throw new StepFailed(what, error);
      }
    },
  };
}

async function existing(api: AdminApi, bucket: string): Promise<readonly Notification[]> {
  try {
    const { items = [] } = await api.call<{ items?: readonly Notification[] }>(
      'GET',
      `/b/${bucket}/notificationConfigs`,
    );
    return items;
  } catch (error) {
    // A bucket that setup will create has none.
    if (statusOf(error) === 404) return [];
    throw new StepFailed(`list the notifications of bucket ${bucket}`, error);
  }
}

function isSame(found: Notification, { attributes }: WantedNotification): boolean {
  const { custom_attributes: has = {}, event_types: events = [], payload_format: format } = found;
  const names = new Set([...Object.keys(has), ...Object.keys(attributes)]);
  return (
    format === 'JSON_API_V1' &&
    events.length === 1 &&
    events[0] === EVENT &&
    [...names].every((key) => has[key] === attributes[key])
  );
}
