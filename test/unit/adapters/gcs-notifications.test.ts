/** Notifications by bucket against a stand-in for two calls of Cloud Storage's JSON API: fake-gcs-server has none. */
import type { IncomingMessage } from 'node:http';
import { json } from 'node:stream/consumers';
import { beforeEach, describe, expect, it } from 'vitest';
import { connectAdmin } from '../../../src/adapters/gcs/admin-api.js';
import { planNotification, type WantedNotification } from '../../../src/adapters/gcs/notifications.js';
import { standInForStorage, type StandInAnswer } from '../../support/storage-stand-in.js';

const TOPIC = 'projects/p/topics/imagen-jobs';
const want: WantedNotification = {
  ...{ bucket: 'in', objectPrefix: 'cats/', topic: TOPIC },
  attributes: { 'imagen-job': '{"operations":["upscale"]}', model: 'upscale', priority: 'batch' },
};

describe('planNotification', () => {
  let configured: object[];
  let missing: boolean;
  const address = standInForStorage(answer);
  const plan = (given = want) => planNotification(connectAdmin({ projectId: 'p', emulator: address() }), given);

  async function answer(request: IncomingMessage): Promise<StandInAnswer> {
    if (missing) return [404, { error: { code: 404, message: 'no such bucket' } }];
    expect(request.url).toMatch(/^\/storage\/v1\/b\/in\/notificationConfigs/);
    if (request.method !== 'POST') return [200, { items: configured }];
    configured.push({ id: String(configured.length + 1), ...((await json(request)) as object) });
    return [200, configured.at(-1)];
  }

  beforeEach(() => {
    configured = [];
    missing = false;
  });

  it('makes one of new objects, with the job in its attributes, and nothing the second time', async () => {
    const step = await plan();
    expect(step).toMatchObject({ kind: 'notification', name: 'gs://in/cats/', todo: 'create', obstacles: [] });
    await step.apply();
    expect(configured).toEqual([
      {
        ...{ id: '1', topic: `//pubsub.googleapis.com/${TOPIC}`, payload_format: 'JSON_API_V1' },
        ...{ event_types: ['OBJECT_FINALIZE'], object_name_prefix: 'cats/', custom_attributes: want.attributes },
      },
    ]);
    const again = await plan();
    expect(again).toMatchObject({ todo: 'nothing', obstacles: [] });
    await again.apply();
    expect(configured).toHaveLength(1);
  });

  it('leaves those of other prefixes and topics alone', async () => {
    await (await plan({ ...want, objectPrefix: '' })).apply();
    await (await plan({ ...want, topic: 'projects/p/topics/other' })).apply();
    expect(await plan()).toMatchObject({ todo: 'create', obstacles: [] });
  });

  it('does not replace one that differs, and says which', async () => {
    await (await plan()).apply();
    const { obstacles } = await plan({ ...want, attributes: { ...want.attributes, model: 'enhance' } });
    expect(obstacles).toEqual([expect.stringContaining('(id 1)')]);
  });

  it('can be planned for a bucket that setup will make', async () => {
    missing = true;
    expect(await plan()).toMatchObject({ todo: 'create' });
  });
});
