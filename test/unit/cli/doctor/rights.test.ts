/** Rights and refusals, which no emulator has. */
import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { CHECKS } from '../../../../src/cli/doctor/checks.js';
import { Deployment } from '../../../../src/cli/doctor/deployment.js';
import { examine } from '../../../../src/cli/doctor/examine.js';
import { type Answers, refusal, standInForPubSub } from '../../../support/pubsub-stand-in.js';
import { standInForStorage } from '../../../support/storage-stand-in.js';

type Unary = NonNullable<Answers['unary']>;

const ENV = {
  GOOGLE_CLOUD_PROJECT: 'p',
  TRITON_URL: '127.0.0.1:9',
  IMAGEN_OUTPUT_PREFIX: 'gs://results',
  IMAGEN_STATE_PREFIX: 'gs://state/records',
  IMAGEN_ALLOWED_INPUTS: 'gs://inputs',
  IMAGEN_ALLOWED_OUTPUTS: 'gs://results',
};

/** The findings of one group, such as `pubsub`, and of the credentials that it needs. */
async function findings(group: string, env: NodeJS.ProcessEnv) {
  const deployment = new Deployment({ ...ENV, ...env });
  try {
    const checks = CHECKS.filter(({ name }) => name === `credentials.${group}` || name.startsWith(`${group}.`));
    return await examine(checks, deployment);
  } finally {
    deployment.close();
  }
}

describe('the rights at Pub/Sub', () => {
  /** A service with these rights, which lets nobody look. */
  async function at(unary: Unary) {
    const service = await standInForPubSub({ unary });
    try {
      return await findings('pubsub', { PUBSUB_EMULATOR_HOST: service.address });
    } finally {
      service.close();
    }
  }
  const having =
    (...rights: string[]): Unary =>
    (method, request) => {
      if (method !== 'TestIamPermissions') throw refusal(status.PERMISSION_DENIED);
      const { permissions } = request as { readonly permissions: readonly string[] };
      return { permissions: permissions.filter((one) => rights.includes(one)) };
    };

  it('suffice for a worker that may not look at what it uses', async () => {
    const all = await at(having('pubsub.topics.publish', 'pubsub.subscriptions.consume', 'pubsub.subscriptions.get'));
    expect(all.filter(({ verdict }) => verdict === 'fault')).toEqual([]);
    expect(all.filter(({ name }) => name === 'pubsub.rights').map(({ message }) => message)).toEqual([
      ...['imagen-jobs', 'imagen-completions', 'imagen-dead-letters'].map((one) => `${one}: pubsub.topics.publish`),
      'imagen-jobs-worker: pubsub.subscriptions.consume, pubsub.subscriptions.get',
    ]);
    expect(all.filter(({ name }) => name === 'pubsub.topic')).toHaveLength(3);
    for (const name of ['pubsub.topic', 'pubsub.subscription', 'pubsub.overlap', 'pubsub.reader']) {
      expect(all).toContainEqual({
        ...{ name, verdict: 'skipped' },
        message: expect.stringMatching(/^these credentials may not look at /) as string,
      });
    }
  });

  it('are named where they are missing, with the role to grant', async () => {
    const all = await at(having('pubsub.topics.publish', 'pubsub.subscriptions.get'));
    expect(all.filter(({ verdict }) => verdict === 'fault')).toEqual([
      {
        ...{ name: 'pubsub.rights', verdict: 'fault' },
        message: 'these credentials lack pubsub.subscriptions.consume on imagen-jobs-worker, or it does not exist',
        cure: expect.stringContaining('roles/pubsub.subscriber') as string,
      },
    ]);
  });

  it('cannot be looked at where the caller is nobody', async () => {
    const all = await at(() => {
      throw refusal(status.UNAUTHENTICATED, 'no such token');
    });
    expect(all).toContainEqual({
      ...{ name: 'pubsub.reachable', verdict: 'fault' },
      message: 'Pub/Sub refuses these credentials: no such token',
      cure: 'give them rights in project p',
    });
    expect(all.filter(({ verdict }) => verdict === 'fault')).toHaveLength(1);
  });
});

describe('the rights at storage', () => {
  let denied: (what: string) => boolean;
  const missing = { error: { code: 404, message: 'No such object: x' } };
  const address = standInForStorage(({ method = '', url = '' }) => {
    if (url.startsWith('/storage/v1/b?')) return [200, { items: [] }];
    const what = `${method} ${new URL(url, 'http://x').pathname}`;
    if (denied(what)) return [403, { error: { code: 403, message: `no right to ${what}` } }];
    if (what.startsWith('POST ')) return [200, '', { location: '/upload/session' }];
    if (what.endsWith('/o')) return [200, { items: [] }];
    return what.includes('/o/') ? [404, missing] : [200, {}];
  });
  const look = async (more: NodeJS.ProcessEnv = {}) =>
    (await findings('storage', { STORAGE_EMULATOR_HOST: address(), ...more })).slice(1);

  it('suffice for a worker that may not look at the settings of buckets', async () => {
    denied = (what) => /\/b\/[^/]+$/.test(what);
    const all = await look();
    expect(all.filter(({ verdict }) => verdict === 'fault')).toEqual([]);
    expect(
      all.filter(({ name }) => name === 'storage.bucket').map(({ verdict, message }) => [verdict, message]),
    ).toEqual([
      ['skipped', expect.stringMatching(/settings of bucket results/)],
      ['skipped', expect.stringMatching(/settings of bucket state/)],
      ['skipped', expect.stringMatching(/^uploads: IMAGEN_UPLOAD_PREFIX says no place/)],
    ]);
    expect(all.filter(({ name }) => name === 'storage.rights').map(({ message }) => message)).toEqual([
      ...['read gs://state/records', 'read gs://inputs', 'create gs://state/records', 'create gs://results'],
      'list gs://state',
    ]);
  });

  it('include the place of shadows, if there is one', async () => {
    denied = (what) => what.startsWith('POST ') && what.includes('/b/shadows/');
    const all = await look({ IMAGEN_SHADOW_PREFIX: 'gs://shadows/kept' });
    expect(all.filter(({ verdict }) => verdict === 'fault').map(({ message }) => message)).toEqual([
      expect.stringMatching(/^these credentials cannot create gs:\/\/shadows\/kept: /),
    ]);
  });

  it.each([
    ['read', 'inputs', 'GET /storage/v1/b/inputs/o/'],
    ['create', 'results', 'POST /upload/storage/v1/b/results/o'],
    ['list', 'state', 'GET /storage/v1/b/state/o'],
  ])('are named where they are missing: to %s in %s', async (access, bucket, refused) => {
    denied = (what) =>
      (refused.endsWith('/') ? what.startsWith(refused) : what === refused) || what.includes('/results/o/');
    const faults = (await look()).filter(({ verdict }) => verdict === 'fault');
    expect(faults).toEqual([
      {
        ...{ name: 'storage.rights', verdict: 'fault' },
        message: expect.stringMatching(
          new RegExp(`^these credentials cannot ${access} gs://${bucket}: .*lacks the right`),
        ) as string,
        cure: expect.stringContaining('grant the right') as string,
      },
    ]);
  });
});
