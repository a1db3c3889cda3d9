/** The exact requests by which completions are delivered elsewhere, and how drift is seen: against a stand-in for the service. */
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { planCompletionsSubscription } from '../../../src/adapters/pubsub/admin.js';
import { PubSubChannel } from '../../../src/adapters/pubsub/channel.js';
import type { NewSubscription, Subscription } from '../../../src/adapters/pubsub/wire.js';
import { type CompletionsFlags, wantedCompletions } from '../../../src/cli/setup/completions.js';
import { refusal, standInForPubSub } from '../../support/pubsub-stand-in.js';

const SERVICE = {
  ...{ projectId: 'p', pubsubEmulator: undefined },
  ...{ jobsTopic: 'jobs', completionsTopic: 'done', deadLetterTopic: 'dead' },
  ...{ statePrefix: 'gs://state/records/', uploadPrefix: 'gs://uploads/incoming/' },
};
const NONE = { completionsSubscription: [], completionsPush: [], completionsBigquery: [], completionsBucket: [] };
const BASE = {
  ...{ name: 'projects/p/subscriptions/abc', topic: 'projects/p/topics/done', filter: '' },
  ...{ messageRetentionDuration: { seconds: 604_800 }, expirationPolicy: { ttl: null } },
};
const AGENT = { serviceAccountEmail: 'push@p.iam.gserviceaccount.com' };

describe('subscriptions that deliver completions elsewhere', () => {
  let service: Awaited<ReturnType<typeof standInForPubSub>>;
  let channel: PubSubChannel;
  let found: Partial<Subscription> | undefined;
  let calls: (readonly [method: string, request: object])[] = [];

  beforeAll(async () => {
    service = await standInForPubSub({
      unary: (method, request) => {
        if (method !== 'GetSubscription') calls.push([method, request]);
        if (method === 'GetSubscription' && !found) throw refusal(status.NOT_FOUND);
        return found ?? {};
      },
    });
    channel = new PubSubChannel({ projectId: 'p', emulator: service.address });
  });
  beforeEach(() => {
    found = undefined;
    calls = [];
  });
  afterAll(() => {
    channel.close();
    service.close();
  });

  async function plan(flags: Partial<CompletionsFlags>) {
    const [wanted] = wantedCompletions(SERVICE, { ...NONE, ...flags });
    if (!wanted) throw new Error('no subscription is wanted');
    return planCompletionsSubscription(channel, wanted);
  }

  const BIGQUERY = { completionsBigquery: ['abc=reports.done'] };
  const BUCKET = { completionsBucket: ['abc=gs://archive/imagen/'] };
  const PUSH = { completionsPush: ['abc=https://shop.example/done?from=imagen'] };
  const SIGNED = { ...PUSH, pushServiceAccount: AGENT.serviceAccountEmail };
  const files = {
    ...{ bucket: 'archive', filenamePrefix: 'imagen/', filenameDatetimeFormat: 'YYYY-MM-DD/hh_mm_ssZ' },
    ...{ filenameSuffix: '.jsonl', textConfig: {}, maxDuration: { seconds: 300 }, maxBytes: 100_000_000 },
  };
  const RETRIES = { retryPolicy: { minimumBackoff: { seconds: 2 }, maximumBackoff: { seconds: 600 } } };
  const push = { pushEndpoint: 'https://shop.example/done?from=imagen' };
  const token = { ...AGENT, audience: push.pushEndpoint };

  it.each<[string, Partial<CompletionsFlags>, Partial<NewSubscription>]>([
    ['a table', BIGQUERY, { bigqueryConfig: { table: 'p.reports.done', writeMetadata: true } }],
    [
      'a table of another project',
      { completionsBigquery: ['abc=other-project.a.b-c'] },
      { bigqueryConfig: { table: 'other-project.a.b-c', writeMetadata: true } },
    ],
    ['files', BUCKET, { ackDeadlineSeconds: 600, cloudStorageConfig: files }],
    [
      'files in a bucket',
      { completionsBucket: ['abc=gs://archive'] },
      { ackDeadlineSeconds: 600, cloudStorageConfig: { ...files, filenamePrefix: '' } },
    ],
    ['a webhook', PUSH, { ...RETRIES, ackDeadlineSeconds: 30, pushConfig: push }],
    [
      'a webhook with a token',
      SIGNED,
      { ...RETRIES, ackDeadlineSeconds: 30, pushConfig: { ...push, oidcToken: token } },
    ],
    [
      'a webhook with an audience',
      { ...SIGNED, pushAudience: 'shop' },
      { ...RETRIES, ackDeadlineSeconds: 30, pushConfig: { ...push, oidcToken: { ...token, audience: 'shop' } } },
    ],
    [
      'failures alone',
      { ...BIGQUERY, completionsFilter: 'attributes.status = "failed"' },
      { filter: 'attributes.status = "failed"' },
    ],
    [
      'dead letters',
      { ...BIGQUERY, completionsDeadLetterTopic: 'lost' },
      { deadLetterPolicy: { deadLetterTopic: 'projects/p/topics/lost', maxDeliveryAttempts: 100 } },
    ],
    ['a reader', { completionsSubscription: ['abc'] }, {}],
  ])('creates exactly that: %s', async (_, flags, expected) => {
    const step = await plan(flags);
    expect(step).toMatchObject({ todo: 'create', obstacles: [] });
    await step.apply();
    const [call, ...more] = calls;
    expect(more).toEqual([]);
    expect(call?.[0]).toBe('CreateSubscription');
    expect(given(call?.[1] ?? {})).toEqual(given({ ...BASE, ...bigQueryOf(flags), ...expected }));
  });

  /** Without what the protocol fills in. */
  function given(value: object): unknown {
    return JSON.parse(
      JSON.stringify(value, (key, one: unknown) =>
        one === null ||
        one === 0 ||
        one === false ||
        (one === '' && key !== '') ||
        ['wrapper', 'outputFormat', 'authenticationMethod'].includes(key)
          ? undefined
          : one,
      ),
    );
  }
  const bigQueryOf = ({ completionsBigquery }: Partial<CompletionsFlags>) =>
    completionsBigquery ? { bigqueryConfig: { table: 'p.reports.done', writeMetadata: true } } : {};

  it.each<[string, Partial<CompletionsFlags>, Partial<Subscription>, string[], string | undefined]>([
    [
      'is as wanted',
      BIGQUERY,
      { bigqueryConfig: { table: 'p.reports.done', writeMetadata: true, state: 1 } },
      [],
      undefined,
    ],
    [
      'has no metadata',
      BIGQUERY,
      { bigqueryConfig: { table: 'p.reports.done', writeMetadata: false } },
      ['bigquery_config'],
      'writes to: p.reports.done with no metadata → p.reports.done with metadata',
    ],
    [
      'has a schema',
      BIGQUERY,
      { bigqueryConfig: { table: 'p.reports.done', writeMetadata: true, useTopicSchema: true } },
      ['bigquery_config'],
      "writes to: p.reports.done with the topic's schema and metadata → ",
    ],
    [
      'has a writer',
      BIGQUERY,
      { bigqueryConfig: { table: 'p.reports.done', writeMetadata: true, serviceAccountEmail: 'w@p' } },
      ['bigquery_config'],
      'with metadata, by w@p → ',
    ],
    [
      'has Avro',
      BUCKET,
      { ackDeadlineSeconds: 600, cloudStorageConfig: { ...files, textConfig: null, avroConfig: {} } },
      ['cloud_storage_config'],
      '.jsonl as Avro, a file for at most 300 s or 100000000 bytes → ',
    ],
    [
      'has a short ack deadline',
      BUCKET,
      { ackDeadlineSeconds: 60, cloudStorageConfig: files },
      ['ack_deadline_seconds'],
      'ack deadline: 60 s → 600 s',
    ],
    [
      'has no token',
      SIGNED,
      { ...RETRIES, ackDeadlineSeconds: 30, pushConfig: push },
      ['push_config'],
      'with no token → https://shop.example/done?from=imagen with a token of push@p',
    ],
    [
      'is not wrapped',
      PUSH,
      { ...RETRIES, ackDeadlineSeconds: 30, pushConfig: { ...push, noWrapper: {} } },
      ['push_config'],
      'with no token, unwrapped → ',
    ],
    [
      'retries at once',
      PUSH,
      { ackDeadlineSeconds: 30, pushConfig: push },
      ['retry_policy'],
      'retry after: at once → 2 s to 600 s',
    ],
    [
      'has dead letters that nobody asked about',
      BIGQUERY,
      {
        bigqueryConfig: { table: 'p.reports.done', writeMetadata: true },
        deadLetterPolicy: { deadLetterTopic: 'x', maxDeliveryAttempts: 9 },
      },
      [],
      undefined,
    ],
  ])('changes what differs: one that %s', async (_, flags, there, paths, detail) => {
    found = { ...BASE, ...there };
    const step = await plan(flags);
    expect(step).toMatchObject({
      todo: paths.length === 0 ? 'nothing' : 'update',
      obstacles: [],
      warnings: expect.any(Array) as unknown,
    });
    if (detail !== undefined) expect(step.details.join()).toContain(detail);
    await step.apply();
    expect(calls.map(([method, request]) => [method, (request as { updateMask: unknown }).updateMask])).toEqual(
      paths.length === 0 ? [] : [['UpdateSubscription', { paths }]],
    );
  });

  it.each<[string, Partial<CompletionsFlags>, Partial<Subscription>, string]>([
    [
      'BigQuery',
      BIGQUERY,
      { bigqueryConfig: { table: 'p.reports.done', writeMetadata: true, state: 4 } },
      'Pub/Sub writes nothing to p.reports.done: SCHEMA_MISMATCH',
    ],
    [
      'Cloud Storage',
      BUCKET,
      { cloudStorageConfig: { ...files, state: 2 } },
      'Pub/Sub writes nothing to archive: PERMISSION_DENIED',
    ],
    [
      'a later state',
      BUCKET,
      { cloudStorageConfig: { ...files, state: 99 } },
      'Pub/Sub writes nothing to archive: state 99',
    ],
  ])('warns of a subscription that Pub/Sub cannot write from: %s', async (_, flags, there, warning) => {
    found = { ...BASE, ...there };
    expect((await plan(flags)).warnings).toEqual([`subscription abc: ${warning}`]);
  });

  it.each<[string, Partial<CompletionsFlags>, Partial<Subscription>, string]>([
    [
      'a table where a reader pulls',
      BIGQUERY,
      {},
      'abc is a pull subscription, wanted a BigQuery subscription. Make one',
    ],
    [
      'a reader where files are written',
      { completionsSubscription: ['abc'] },
      { cloudStorageConfig: files },
      'abc is a Cloud Storage subscription, wanted a pull subscription',
    ],
    [
      'a table where a webhook is called',
      BIGQUERY,
      { pushConfig: push },
      'abc is a push subscription, wanted a BigQuery',
    ],
    [
      'another filter',
      { ...BIGQUERY, completionsFilter: 'attributes:type' },
      { bigqueryConfig: { table: 'p.reports.done', writeMetadata: true } },
      'abc has no filter, wanted the filter attributes:type: Pub/Sub does not let a filter change. Make one under another name',
    ],
  ])('names what cannot change: %s', async (_, flags, there, obstacle) => {
    found = { ...BASE, ...there };
    expect((await plan(flags)).obstacles.join()).toContain(obstacle);
  });

  it('warns of a webhook that cannot tell who calls it, and of what an emulator leaves out', () => {
    const warningsOf = (pubsubEmulator: string | undefined, flags: Partial<CompletionsFlags>) =>
      wantedCompletions({ ...SERVICE, pubsubEmulator }, { ...NONE, ...flags }).flatMap(
        ({ delivery }) => delivery.warnings,
      );
    expect(warningsOf(undefined, PUSH)).toEqual([expect.stringContaining('give --push-service-account')]);
    expect(warningsOf(undefined, { ...SIGNED, ...BIGQUERY, ...{ completionsBigquery: ['table=d.t'] } })).toEqual([]);
    expect(warningsOf('localhost:1', SIGNED)).toEqual(['the emulator pushes without a token']);
    expect(warningsOf('localhost:1', PUSH)).toEqual([]);
    expect(warningsOf('localhost:1', BUCKET)).toEqual([
      'the emulator writes nothing to gs://archive: it keeps the messages',
    ]);
  });

  it('takes http:// only with an emulator', () => {
    const plain = { ...NONE, completionsPush: ['hook=http://localhost:9000/'] };
    expect(() => wantedCompletions(SERVICE, plain)).toThrow('expected the https:// address of a webhook');
    expect(wantedCompletions({ ...SERVICE, pubsubEmulator: 'localhost:1' }, plain)).toHaveLength(1);
  });

  it.each(['jobs', 'done', 'dead'])(
    'takes no topic of jobs, completions or dead letters for what a webhook refuses: %s',
    (topic) => {
      const flags = { ...NONE, ...PUSH, completionsDeadLetterTopic: topic };
      expect(() => wantedCompletions(SERVICE, flags)).toThrow(
        `--completions-dead-letter-topic: expected a topic of its own, given ${topic}, which is IMAGEN_`,
      );
    },
  );

  it.each(['gs://state', 'gs://state/records/2026', 'gs://uploads/incoming', 'gs://uploads'])(
    'writes no files among records or uploads: %s',
    (place) => {
      const flags = { ...NONE, completionsBucket: [`files=${place}`] };
      expect(() => wantedCompletions(SERVICE, flags)).toThrow(
        /expected a place apart from IMAGEN_(STATE|UPLOAD)_PREFIX/,
      );
    },
  );

  it('says what the name of a subscription is made of', () => {
    const flags = { ...NONE, completionsSubscription: ['r1'] };
    expect(() => wantedCompletions(SERVICE, flags)).toThrow(/^r1: expected the name of a subscription: 3 to 255 /);
  });
});
