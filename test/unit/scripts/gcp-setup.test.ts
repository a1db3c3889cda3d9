/** scripts/release/gcp/setup.sh against a stand-in for gcloud: what it would call, what it calls, and the rights that this gives. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stackEnv } from '../../../scripts/dev/stack/env.js';
import { defaultPorts } from '../../../scripts/dev/stack/ports.js';
import { setupCommand } from '../../../src/cli/setup.js';
import { leastStateDays, wantedSubscriptions } from '../../../src/cli/setup/wanted.js';
import { SETTINGS } from '../../../src/config/index.js';
import { runProgram } from '../../support/program.js';

const SCRIPT = new URL('../../../scripts/release/gcp/setup.sh', import.meta.url).pathname;
const STAND_INS = new URL('../../fixtures/gcp', import.meta.url).pathname;
const source = (name: string) => readFileSync(new URL(`../../../src/${name}`, import.meta.url), 'utf8');

const folder = mkdtempSync(join(tmpdir(), 'imagen-gcp-'));
const log = join(folder, 'calls');
const plain = ['--project', 'some-project', '--region', 'europe-west4'];
const POOL = 'some-project.svc.id.goog';
const cluster = [...plain, '--cluster', 'main'];

type Call = readonly string[];
const calls = (): Call[] =>
  existsSync(log)
    ? readFileSync(log, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.split('\x1f').slice(0, -1))
    : [];
const isLook = (call: Call) => call.includes('describe');

function environment(more: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { PATH: `${STAND_INS}:${process.env.PATH ?? ''}`, CALLS: log, ...more };
}

async function script(args: readonly string[], more: Readonly<Record<string, string>> = {}) {
  rmSync(log, { force: true });
  rmSync(`${log}.refused`, { force: true });
  const done = await runProgram('bash', [SCRIPT, ...args], environment(more));
  return { ...done, calls: calls() };
}

/** What a dry run prints is what a shell can run: so it is run, against the stand-ins. */
async function commandsOf(args: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<Call[]> {
  const dry = await script(['--dry-run', ...args], more);
  expect(dry, dry.stderr).toMatchObject({ code: 0, calls: [] });
  const file = join(folder, 'printed.sh');
  writeFileSync(file, dry.stdout);
  const printed = await runProgram('bash', ['-euo', 'pipefail', file], environment({}));
  expect(printed, printed.stderr).toMatchObject({ code: 0 });
  return calls();
}

const valueOf = (call: Call, flag: string): string | undefined => {
  const at = call.indexOf(flag);
  return at < 0 ? undefined : call[at + 1];
};

interface Grant {
  readonly member: string;
  readonly role: string;
  /** `topic imagen-jobs`, `bucket x`, `objects x/records/`, `project p` … */
  readonly on: string;
}

function grantsOf(all: readonly Call[]): Grant[] {
  return all
    .filter((call) => call.includes('add-iam-policy-binding'))
    .map((call) => {
      const at = call.indexOf('add-iam-policy-binding');
      const member = (valueOf(call, '--member') ?? '')
        .replace(/^serviceAccount:/, '')
        .replace(/@some-project\.iam.*/, '');
      if (call[0] === 'bq') return { member, role: valueOf(call, '--role') ?? '', on: `table ${call.at(-1) ?? ''}` };
      const kind = { topics: 'topic', subscriptions: 'subscription', buckets: 'bucket', projects: 'project' }[
        call[at - 1] ?? ''
      ];
      const name = (call[at + 1] ?? '').replace(/^gs:\/\//, '');
      const condition = valueOf(call, '--condition');
      const under =
        /^title=[\w-]+,expression=resource\.name\.startsWith\("projects\/_\/buckets\/(.+)\/objects\/(.+)"\)$/.exec(
          condition ?? '',
        );
      expect(condition === undefined || condition === 'None' || under?.[1] === name, condition).toBe(true);
      return {
        member,
        role: (valueOf(call, '--role') ?? '').replace('projects/some-project/roles/', ''),
        on: under ? `objects ${name}/${under[2] ?? ''}` : `${kind ?? call[at - 1] ?? ''} ${name}`,
      };
    });
}

/** Google's own, as its documentation lists them; those of imagen are read from the commands that make them. */
const PREDEFINED: Readonly<Record<string, readonly string[]>> = {
  'roles/pubsub.publisher': ['pubsub.topics.publish'],
};

function permissionsOf(all: readonly Call[], member: string): Set<string> {
  const custom = new Map(
    all
      .filter((call) => call.join(' ').startsWith('iam roles create'))
      .map((call) => [call[3] ?? '', (valueOf(call, '--permissions') ?? '').split(',')]),
  );
  return new Set(
    grantsOf(all)
      .filter((grant) => grant.member === member)
      .flatMap(({ role, on }) => {
        const permissions = custom.get(role) ?? PREDEFINED[role];
        expect(permissions, `a role that nobody has looked into: ${role}`).toBeDefined();
        return (permissions ?? []).map((permission) => `${permission} on ${on}`);
      }),
  );
}

afterAll(() => rmSync(folder, { recursive: true }));

describe('scripts/release/gcp/setup.sh', () => {
  it('is bash', async () => {
    expect(await runProgram('bash', ['-n', SCRIPT], process.env)).toMatchObject({ code: 0, stderr: '' });
  });

  it('names everything that is wrong with its arguments, and does nothing', async () => {
    const {
      code,
      stderr,
      calls: made,
    } = await script(['--project', 'X', '--cluster', 'No', '--per-model', 'a b', '--frobnicate', '--bucket-prefix'], {
      PUBSUB_EMULATOR_HOST: 'localhost:1',
      IMAGEN_STATE_PREFIX: 's3://x',
      IMAGEN_JOBS_TOPIC: '1',
    });
    for (const problem of [
      '--project: expected the id of a project, given X',
      '--region: expected a region such as europe-west4, given nothing',
      '--cluster: expected the name of a cluster, given No',
      '--per-model: expected names of models, separated by commas, given a b',
      '--frobnicate: no such option',
      '--bucket-prefix: expected a value, given nothing',
      'PUBSUB_EMULATOR_HOST: expected to be unset, given localhost:1',
      'IMAGEN_STATE_PREFIX: expected gs://<bucket>/<prefix>, given s3://x',
      '1: expected the name of a topic or subscription',
    ]) {
      expect(stderr).toContain(problem);
    }
    expect({ code, made }).toEqual({ code: 2, made: [] });
  });

  it('tells what it takes', async () => {
    expect(await script(['--help'])).toMatchObject({ code: 0, stdout: expect.stringContaining('--dry-run') as string });
  });

  describe('the dry run', () => {
    let all: Call[];
    beforeAll(async () => {
      all = await commandsOf(cluster);
    });

    it('runs nothing, and needs no gcloud', async () => {
      const { code, stdout, calls: made } = await script([...plain, '--dry-run'], { PATH: '/usr/bin:/bin' });
      expect({ code, made }).toEqual({ code: 0, made: [] });
      expect(stdout).toContain('gcloud services enable');
    });

    it('prints what a run on a bare project calls, in that order', async () => {
      const real = await script(cluster, { GCLOUD_POOL: POOL });
      expect(real.code, real.stderr).toBe(0);
      const known = (call: Call) => call.map((word) => word.replace('PROJECT_NUMBER', '123456789012'));
      const wanted = (call: Call) => !isLook(call) || call[0] === 'projects' || call[0] === 'container';
      expect(real.calls.filter(wanted)).toEqual(all.filter(wanted).map(known));
    });

    it('uses the names that src/config/index.ts and the stack use', async () => {
      const setup = all.find(([program]) => program === 'npx') ?? [];
      const settings = [
        SETTINGS.jobsTopic,
        SETTINGS.jobsSubscriptions,
        SETTINGS.completionsTopic,
        SETTINGS.deadLetterTopic,
        SETTINGS.deadLetterSubscription,
      ];
      for (const { name, fallback } of settings) expect(setup).toContain(`${name}=${fallback}`);

      const stack = stackEnv(defaultPorts());
      const { stdout } = await script([...plain, '--bucket-prefix', 'imagen', '--dry-run']);
      for (const name of [
        'OUTPUT_PREFIX',
        'STATE_PREFIX',
        'UPLOAD_PREFIX',
        'ALLOWED_INPUTS',
        'ALLOWED_OUTPUTS',
      ] as const) {
        expect(stdout).toContain(`# IMAGEN_${name}=${stack[`IMAGEN_${name}`]}\n`);
      }
    });

    it('gives rights to what it and imagen setup make, and to nothing else', () => {
      const setup = all.find(([program]) => program === 'npx') ?? [];
      const made = new Set([
        ...setup.flatMap((word) => {
          const [, kind, value = ''] = /^IMAGEN_\w+_(TOPIC|SUBSCRIPTIONS?|PREFIX)=(.*)$/.exec(word) ?? [];
          if (kind === 'TOPIC') return [`topic ${value}`];
          if (kind === 'PREFIX')
            return [`bucket ${value.split('/')[2] ?? ''}`, `objects ${value.slice('gs://'.length)}`];
          return kind === undefined ? [] : [`subscription ${value}`];
        }),
        ...all
          .filter((call) => call.join(' ').startsWith('storage buckets create'))
          .map((call) => `bucket ${call[3]?.slice(5) ?? ''}`),
        'service-accounts imagen-worker@some-project.iam.gserviceaccount.com',
        'service-accounts imagen-triton@some-project.iam.gserviceaccount.com',
        'project some-project',
      ]);
      for (const { on } of grantsOf(all)) expect(made).toContain(on);
    });

    it('makes every identity that it gives rights to, and no keys', () => {
      const made = all
        .filter((call) => call.join(' ').startsWith('iam service-accounts create'))
        .map((call) => call[3]);
      expect(made).toEqual(['imagen-worker', 'imagen-triton', 'imagen-publisher', 'imagen-operator']);
      const members = new Set(grantsOf(all).map(({ member }) => member));
      const google = [
        'service-PROJECT_NUMBER@gcp-sa-pubsub.iam.gserviceaccount.com',
        `${POOL}[imagen/imagen-worker]`,
        `${POOL}[imagen/triton]`,
        ...['custom-metrics/sa/custom-metrics-stackdriver-adapter', 'keda/sa/keda-operator'].map(
          (one) =>
            `principal://iam.googleapis.com/projects/PROJECT_NUMBER/locations/global/workloadIdentityPools/${POOL}/subject/ns/${one}`,
        ),
      ];
      expect(members).toEqual(new Set([...made, ...google]));
      expect(all.flat()).not.toContain('keys');
    });

    it('makes every role before it gives it, and gives none that is wide', () => {
      const roles = all.filter((call) => call.join(' ').startsWith('iam roles create')).map((call) => call[3]);
      for (const { role } of grantsOf(all)) {
        expect(role).not.toMatch(/owner|editor|admin|storage\.object(User|Creator)/i);
        if (!role.startsWith('roles/')) expect(roles).toContain(role);
      }
      const last = all.findLastIndex((call) => call.join(' ').startsWith('iam roles create'));
      const first = all.findIndex((call) => call.includes('add-iam-policy-binding'));
      const setup = all.findIndex(([program]) => program === 'npx');
      expect(last).toBeLessThan(setup);
      expect(setup).toBeLessThan(first);
    });

    /** What the worker's code calls, where, and what Google wants for that. */
    const WORKER_CALLS = [
      [
        'adapters/pubsub/source.ts: pull, extend, ack',
        'pubsub.subscriptions.consume',
        'subscription imagen-jobs-worker',
      ],
      ['app.ts: shortcomings', 'pubsub.subscriptions.get', 'subscription imagen-jobs-worker'],
      ['worker/handle.ts: put back', 'pubsub.topics.publish', 'topic imagen-jobs'],
      ['worker/handle.ts: completion', 'pubsub.topics.publish', 'topic imagen-completions'],
      ['worker/handle.ts: dead letter', 'pubsub.topics.publish', 'topic imagen-dead-letters'],
      ['pipeline/fetch.ts: GET alt=media', 'storage.objects.get', 'bucket some-project-imagen-uploads'],
      ['pipeline/fetch.ts: 404 where nothing is', 'storage.objects.list', 'bucket some-project-imagen-uploads'],
      ['pipeline/store.ts: POST multipart, resumable', 'storage.objects.create', 'bucket some-project-imagen-results'],
      ['pipeline/store.ts: GET after a 412', 'storage.objects.get', 'bucket some-project-imagen-results'],
      [
        'records/decide.ts, records/markers.ts: POST multipart',
        'storage.objects.create',
        'objects some-project-imagen-state/records/',
      ],
      [
        'records/recall.ts, records/markers.ts: GET',
        'storage.objects.get',
        'objects some-project-imagen-state/records/',
      ],
      ['records/recall.ts: 404 where nothing is', 'storage.objects.list', 'bucket some-project-imagen-state'],
    ] as const;

    it('lets the worker do what its code calls, and nothing beyond', () => {
      const needed = new Set(WORKER_CALLS.map(([, permission, on]) => `${permission} on ${on}`));
      expect(permissionsOf(all, 'imagen-worker')).toEqual(needed);
    });

    it('knows all calls that the worker makes to storage', () => {
      const sources = source('adapters/gcs/store.ts') + source('adapters/gcs/api.ts');
      const methods = [...sources.matchAll(/method: '(\w+)'/g)].map(([, method]) => method);
      const queries = [...sources.matchAll(/\?(alt|uploadType|maxResults)=(\w+)/g)].map(
        ([, key, value]) => `${key}=${value}`,
      );
      // A DELETE ends an upload that was only begun, which whoever may create may do.
      expect(new Set(methods)).toEqual(new Set(['GET', 'POST', 'DELETE']));
      expect(new Set(queries)).toEqual(
        new Set(['alt=media', 'uploadType=multipart', 'uploadType=resumable', 'maxResults=1']),
      );
    });

    it('lets publishers upload and publish, and no more', () => {
      expect(permissionsOf(all, 'imagen-publisher')).toEqual(
        new Set([
          'pubsub.topics.publish on topic imagen-jobs',
          'storage.objects.create on objects some-project-imagen-uploads/incoming/',
          'storage.objects.get on objects some-project-imagen-uploads/incoming/',
        ]),
      );
    });

    it('lets operators set up, cancel, and look at dead letters, and never delete', () => {
      const may = permissionsOf(all, 'imagen-operator');
      expect([...may].filter((one) => /delete|setIamPolicy/i.test(one))).toEqual([]);
      for (const one of [
        'pubsub.subscriptions.consume on subscription imagen-dead-letters-review',
        'pubsub.topics.publish on topic imagen-jobs',
        'storage.objects.create on objects some-project-imagen-state/records/',
        ...['state', 'uploads'].map((name) => `storage.objects.list on bucket some-project-imagen-${name}`),
        ...['topics.create', 'topics.attachSubscription', 'subscriptions.create', 'subscriptions.update'].map(
          (permission) => `pubsub.${permission} on project some-project`,
        ),
        ...['create', 'get', 'update'].map((permission) => `storage.buckets.${permission} on project some-project`),
      ]) {
        expect(may).toContain(one);
      }
    });

    it('lets workers read routes in Cloud Storage, and operators replace these alone', async () => {
      const place = 'some-config/imagen/routes.json';
      const routed = await commandsOf(plain, { IMAGEN_ROUTES_FILE: `gs://${place}` });
      const beyond = (member: string) => {
        const before = permissionsOf(all, member);
        return [...permissionsOf(routed, member)].filter((one) => !before.has(one));
      };
      expect(beyond('imagen-worker')).toEqual([`storage.objects.get on objects ${place}`]);
      expect(beyond('imagen-operator')).toEqual([
        ...['create', 'delete', 'get'].map((right) => `storage.objects.${right} on objects ${place}`),
        'storage.objects.list on bucket some-config',
      ]);
      expect(beyond('imagen-publisher')).toEqual([]);
      const file = await commandsOf(plain, { IMAGEN_ROUTES_FILE: '/etc/imagen/routes.json' });
      expect(grantsOf(file)).toEqual(grantsOf(await commandsOf(plain)));
    });

    it('lets workers store shadows and operators read them, where there are any', async () => {
      const shadowed = await commandsOf(plain, { IMAGEN_SHADOW_PREFIX: 'gs://some-shadows/kept' });
      const beyond = (member: string) => {
        const before = permissionsOf(all, member);
        return [...permissionsOf(shadowed, member)].filter((one) => !before.has(one));
      };
      expect(beyond('imagen-worker')).toEqual([
        ...['create', 'get'].map((right) => `storage.objects.${right} on objects some-shadows/kept/`),
      ]);
      expect(beyond('imagen-operator')).toEqual([
        'storage.objects.get on objects some-shadows/kept/',
        'storage.objects.list on bucket some-shadows',
      ]);
      expect(beyond('imagen-publisher')).toEqual([]);
    });

    it('lets Triton read its bucket, and Pub/Sub move dead letters', () => {
      expect(grantsOf(all).filter(({ member }) => member === 'imagen-triton')).toEqual([
        { member: 'imagen-triton', role: 'roles/storage.objectViewer', on: 'bucket some-project-imagen-models' },
        { member: 'imagen-triton', role: 'roles/storage.legacyBucketReader', on: 'bucket some-project-imagen-models' },
      ]);
      const agent = 'service-PROJECT_NUMBER@gcp-sa-pubsub.iam.gserviceaccount.com';
      expect(grantsOf(all).filter(({ member }) => member === agent)).toEqual([
        { member: agent, role: 'roles/pubsub.publisher', on: 'topic imagen-dead-letters' },
        { member: agent, role: 'roles/pubsub.subscriber', on: 'subscription imagen-jobs-worker' },
      ]);
    });

    it('gives the identities to the pods, and only the backlog to who scales', () => {
      const pods = grantsOf(all).filter(({ role }) => role === 'roles/iam.workloadIdentityUser');
      expect(pods.map(({ member, on }) => [member, on])).toEqual([
        [`${POOL}[imagen/imagen-worker]`, 'service-accounts imagen-worker@some-project.iam.gserviceaccount.com'],
        [`${POOL}[imagen/triton]`, 'service-accounts imagen-triton@some-project.iam.gserviceaccount.com'],
      ]);
      const scalers = grantsOf(all).filter(({ member }) => member.startsWith('principal://'));
      expect(scalers.map(({ role }) => role)).toEqual(['roles/monitoring.viewer', 'roles/monitoring.viewer']);
    });
  });

  it('leaves the pods out without a cluster', async () => {
    const { stdout } = await script([...plain, '--dry-run']);
    expect(stdout).toContain('No --cluster: run this again with it');
    expect(stdout).not.toMatch(/workloadIdentityUser|monitoring\.viewer/);
  });

  it.each([
    [['--per-model', 'upscale,style_comic'], { perModel: 'upscale,style_comic' }],
    [['--per-priority'], { perPriority: true }],
    [['--per-tenant', 'a,shop:1'], { perTenant: 'a,shop:1' }],
    [
      ['--per-tenant', 'a', '--per-model', 'upscale', '--per-priority'],
      { perTenant: 'a', perModel: 'upscale', perPriority: true },
    ],
    [['--per-model', 'upscale', '--per-priority'], { perModel: 'upscale', perPriority: true }],
  ])('gives rights on the subscriptions that imagen setup makes with %j', async (flags, same) => {
    const all = await commandsOf([...plain, ...flags]);
    const names = wantedSubscriptions({ jobsSubscriptions: [{ name: 'imagen-jobs-worker', weight: 1 }] }, same);
    for (const member of ['imagen-worker', 'service-PROJECT_NUMBER@gcp-sa-pubsub.iam.gserviceaccount.com']) {
      const on = grantsOf(all).filter((one) => one.member === member && one.on.startsWith('subscription'));
      expect(on.map((one) => one.on)).toEqual(names.map(({ name }) => `subscription ${name}`));
    }
    expect(all.find(([program]) => program === 'npx')).toEqual(expect.arrayContaining(flags));
  });

  it('holds rights to folders where a bucket is shared', async () => {
    const all = await commandsOf(plain, {
      IMAGEN_OUTPUT_PREFIX: 'gs://one/results',
      IMAGEN_STATE_PREFIX: 'gs://one/records/',
      IMAGEN_UPLOAD_PREFIX: 'gs://one/in/coming//',
      IMAGEN_ALLOWED_INPUTS: 'gs://one/in, gs://theirs',
      IMAGEN_JOBS_SUBSCRIPTIONS: 'fast=3,slow',
    });
    expect(permissionsOf(all, 'imagen-worker')).toEqual(
      new Set([
        ...['fast', 'slow'].flatMap((name) => [
          `pubsub.subscriptions.consume on subscription ${name}`,
          `pubsub.subscriptions.get on subscription ${name}`,
        ]),
        ...['jobs', 'completions', 'dead-letters'].map((name) => `pubsub.topics.publish on topic imagen-${name}`),
        'storage.objects.get on objects one/in/',
        'storage.objects.get on bucket theirs',
        'storage.objects.list on bucket one',
        'storage.objects.list on bucket theirs',
        ...['results', 'records'].flatMap((name) => [
          `storage.objects.create on objects one/${name}/`,
          `storage.objects.get on objects one/${name}/`,
        ]),
      ]),
    );
  });

  describe('where completions go', () => {
    const AGENT = 'service-PROJECT_NUMBER@gcp-sa-pubsub.iam.gserviceaccount.com';
    const push = ['--completions-push', 'hook=https://shop.example/done?a=b'];
    const account = ['--push-service-account', 'push@some-project.iam.gserviceaccount.com', '--push-audience', 'shop'];
    const table = ['--completions-bigquery', 'archive=reports.completions'];
    const files = ['--completions-bucket', 'files=gs://some-archive/imagen'];
    const rest = ['--completions-filter', 'NOT attributes:type', '--completions-dead-letter-topic', 'undelivered'];
    const subscriber = { member: AGENT, role: 'roles/pubsub.subscriber' };
    const onTable = { member: AGENT, role: 'roles/bigquery.dataEditor' };

    it.each<[string, string[], Grant[]]>([
      ['a webhook without a token', push, []],
      [
        'a webhook',
        [...push, ...account],
        [
          { member: AGENT, role: 'roles/iam.serviceAccountTokenCreator', on: `service-accounts ${account[1] ?? ''}` },
          {
            member: 'imagen-operator',
            role: 'roles/iam.serviceAccountUser',
            on: `service-accounts ${account[1] ?? ''}`,
          },
        ],
      ],
      ['a table', table, [{ ...onTable, on: 'table some-project:reports.completions' }]],
      [
        'a table of another project',
        ['--completions-bigquery', 'archive=other-project.reports.completions'],
        [{ ...onTable, on: 'table other-project:reports.completions' }],
      ],
      [
        'files',
        files,
        [
          { member: AGENT, role: 'roles/storage.objectCreator', on: 'bucket some-archive' },
          { member: AGENT, role: 'roles/storage.legacyBucketReader', on: 'bucket some-archive' },
        ],
      ],
      [
        'dead letters, of which files have none',
        [...push, ...table, ...files, ...rest],
        [
          { ...onTable, on: 'table some-project:reports.completions' },
          { member: AGENT, role: 'roles/storage.objectCreator', on: 'bucket some-archive' },
          { member: AGENT, role: 'roles/storage.legacyBucketReader', on: 'bucket some-archive' },
          { member: AGENT, role: 'roles/pubsub.publisher', on: 'topic undelivered' },
          { ...subscriber, on: 'subscription hook' },
          { ...subscriber, on: 'subscription archive' },
        ],
      ],
    ])('gives Pub/Sub no more than it needs: %s', async (_, flags, expected) => {
      const before = grantsOf(await commandsOf(plain)).map((grant) => JSON.stringify(grant));
      const beyond = grantsOf(await commandsOf([...plain, ...flags])).filter(
        (grant) => !before.includes(JSON.stringify(grant)),
      );
      expect(beyond).toEqual(expected);
    });

    it('makes what Pub/Sub writes to and gives the rights before it makes the subscriptions, which Pub/Sub checks', async () => {
      const all = await commandsOf([...plain, ...push, ...account, ...table, ...files, ...rest]);
      const [first, second, ...more] = all.filter(([program]) => program === 'npx');
      expect(more).toEqual([]);
      expect(first?.join(' ')).not.toContain('--completions');
      for (const word of [...push, ...account, ...table, ...files, ...rest]) expect(second).toContain(word);
      const before = all
        .slice(
          0,
          all.findLastIndex(([program]) => program === 'npx'),
        )
        .map((call) => call.join(' '));
      expect(before).toEqual(
        expect.arrayContaining([
          'bq --project_id some-project mk --force --dataset --location europe-west4 some-project:reports',
          expect.stringMatching(
            /^bq .* mk --force --table .* publish_time some-project:reports\.completions docs\/examples\/completions-table\.json$/,
          ),
          expect.stringMatching(/^bq .* add-iam-policy-binding --table=true .* some-project:reports\.completions$/),
          expect.stringMatching(/^storage buckets create gs:\/\/some-archive --location europe-west4/),
          expect.stringMatching(/^storage buckets add-iam-policy-binding gs:\/\/some-archive .*objectCreator/),
        ]),
      );
      expect(existsSync(new URL('../../../docs/examples/completions-table.json', import.meta.url))).toBe(true);
    });

    it('calls what its dry run has printed', async () => {
      const args = [...plain, ...push, ...account, ...table, ...files, ...rest];
      const printed = (await commandsOf(args)).filter((call) => !isLook(call));
      const real = await script(args);
      expect(real.code, real.stderr).toBe(0);
      const known = (call: Call) => call.map((word) => word.replace('PROJECT_NUMBER', '123456789012'));
      expect(real.calls.filter((call) => !isLook(call))).toEqual(printed.map(known));
    });

    it('names what is wrong with its flags', async () => {
      const wrong = [
        '--completions-push',
        'hook=http://x',
        '--completions-bigquery',
        'a=b',
        '--completions-bucket',
        'gs://x',
      ];
      const { code, stderr } = await script([...plain, ...wrong, '--push-service-account', 'me']);
      expect(code).toBe(2);
      for (const problem of [
        '--completions-push: expected <name of the subscription>=https://…, given hook=http://x',
        '--completions-bigquery: expected <name of the subscription>=dataset.table, or project.dataset.table, given a=b',
        '--completions-bucket: expected <name of the subscription>=gs://<bucket>/<prefix>, given gs://x',
        '--push-service-account: expected the email of a service account, given me',
      ]) {
        expect(stderr).toContain(problem);
      }
      const alone = await script([...plain, '--completions-filter', 'attributes:type']);
      expect(alone).toMatchObject({
        code: 2,
        stderr: expect.stringContaining('--completions-filter: expected with --completions-push') as string,
      });
    });
  });

  it('passes flags on to imagen setup, and leaves it out when told to', async () => {
    const passed = await commandsOf([...plain, '--per-priority', '--', '--state-days', '60']);
    expect(passed.find(([program]) => program === 'npx')).toEqual(
      expect.arrayContaining(['--per-priority', '--state-days', '60']),
    );
    const trap = await script([...plain, '--', '--dry-run']);
    expect(trap).toMatchObject({
      code: 2,
      calls: [],
      stderr: expect.stringContaining('--dry-run: expected before --') as string,
    });
    const left = await commandsOf([...plain, '--no-setup']);
    expect(left.some(([program]) => program === 'npx')).toBe(false);
  });

  it('makes nothing again that is there, and brings roles to what they should be', async () => {
    const { code, stdout, calls: made } = await script(cluster, { GCLOUD_FINDS: 'yes', GCLOUD_POOL: POOL });
    expect(code).toBe(0);
    expect(made.filter((call) => call.includes('create'))).toEqual([]);
    expect(made.filter((call) => call.join(' ').startsWith('iam roles update'))).toHaveLength(5);
    expect(stdout).toContain('# there already: gcloud artifacts repositories create imagen');
  });

  it('brings back a role that was deleted', async () => {
    const { code, calls: made } = await script(plain, { GCLOUD_FINDS: 'yes', GCLOUD_DELETED: 'True' });
    expect(code).toBe(0);
    expect(made.filter((call) => call.includes('undelete'))).toHaveLength(5);
  });

  it.each([
    ['services enable', 1],
    ['iam service-accounts describe', undefined],
    ['pubsub topics add-iam-policy-binding', undefined],
    ['projects describe', undefined],
  ])('ends where gcloud refuses, and shows what it said: %s', async (refused, most) => {
    const { code, stderr, calls: made } = await script(plain, { GCLOUD_REFUSES: refused });
    expect(code).not.toBe(0);
    expect(stderr).toContain('PERMISSION_DENIED: you may not');
    expect(made.at(-1)?.join(' ')).toContain(refused);
    if (most !== undefined) expect(made).toHaveLength(most);
  });

  it('ends where imagen setup fails', async () => {
    const { code, calls: made } = await script(plain, { NPX_EXITS: '1' });
    expect(code).toBe(1);
    expect(made.at(-1)?.[0]).toBe('npx');
  });

  it('waits for a service account that is not known everywhere yet, but not for ever', async () => {
    const refusal = {
      GCLOUD_REFUSES: 'subscriptions add-iam-policy-binding imagen-jobs-worker',
      GCLOUD_REFUSAL: 'INVALID_ARGUMENT: Service account imagen-worker does not exist.',
    };
    expect(await script(plain, { ...refusal, GCLOUD_REFUSES_TIMES: '2' })).toMatchObject({ code: 0 });
    const never = await script(plain, refusal);
    expect(never.code).toBe(1);
    expect(never.calls.filter((call) => call.join(' ').includes(refusal.GCLOUD_REFUSES))).toHaveLength(6);
  });

  it('is told of in docs/google-cloud.md: flags, identities, roles, and the arithmetic of retention', async () => {
    const docs = readFileSync(new URL('../../../docs/google-cloud.md', import.meta.url), 'utf8');
    for (const { long } of setupCommand({ env: {}, exitCode: 0 }).options)
      expect(docs).toMatch(new RegExp(`[\` ]${long}\\b`));
    for (const { member, role } of grantsOf(await commandsOf(cluster))) {
      expect(docs).toContain(`\`${role}\``);
      if (member.startsWith('imagen-')) expect(docs).toContain(`| \`${member}\``);
    }
    expect(docs).toContain(`= ${leastStateDays(Number(SETTINGS.maxDeferredSeconds.fallback))} days`);
  });

  it('wants a cluster with Workload Identity', async () => {
    const { code, stderr } = await script(cluster, { GCLOUD_POOL: '' });
    expect(code).toBe(1);
    expect(stderr).toContain(`cluster main: expected Workload Identity with the pool ${POOL}, found none`);
  });
});
