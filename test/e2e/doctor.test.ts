/** `imagen doctor` on the real parts: one set-up that is right, and many that are broken, each in one place. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest';
import { controlModel } from '../../scripts/dev/parts/triton.js';
import { ensureJobsSubscription, ensureTopic, planPlainSubscription } from '../../src/adapters/pubsub/admin.js';
import { CHECKS } from '../../src/cli/doctor/checks.js';
import { run } from '../../src/cli/index.js';
import { wantedPolicies } from '../../src/cli/setup/wanted.js';
import { type Finished, runProgram } from '../support/program.js';
import { CLI, createScene, type Scene } from '../support/scene.js';

interface Shown {
  readonly name: string;
  readonly verdict: 'ok' | 'warning' | 'fault' | 'skipped';
  readonly message: string;
  readonly cure?: string;
}
type More = Readonly<Record<string, string>>;

const { ports } = inject('stack');
const NOBODY = '127.0.0.1:9';

describe('imagen doctor', () => {
  let scene: Scene;
  let folder: string;
  /** Names of what is wrong on purpose. */
  const bare = () => `bare-${scene.id}`;
  const slow = () => `slow-${scene.id}`;
  const second = () => `second-${scene.id}`;
  const filtered = (what: 'upscale' | 'urgent') => `${what}-${scene.id}`;
  const unread = () => `unread-${scene.id}`;

  beforeAll(async () => {
    scene = await createScene();
    folder = mkdtempSync(join(tmpdir(), 'imagen-doctor-'));
    const { channel, env } = scene;
    const topic = channel.topic(env.IMAGEN_JOBS_TOPIC);
    await ensureTopic(channel, unread());
    await channel.call('CreateSubscription', { name: channel.subscription(bare()), topic }, 5_000);
    const right = wantedPolicies({
      ...{ jobsTopic: env.IMAGEN_JOBS_TOPIC, deadLetterTopic: env.IMAGEN_DEAD_LETTER_TOPIC, maxAttempts: 5 },
    });
    await ensureJobsSubscription(channel, second(), right);
    await ensureJobsSubscription(channel, slow(), right);
    await ensureJobsSubscription(channel, filtered('upscale'), { ...right, filter: 'attributes.model = "upscale"' });
    const urgent = 'attributes.priority = "interactive"';
    await ensureJobsSubscription(channel, filtered('urgent'), { ...right, filter: urgent });
    const subscription = { name: channel.subscription(slow()), ackDeadlineSeconds: 60 };
    await channel.call('UpdateSubscription', { subscription, updateMask: { paths: ['ack_deadline_seconds'] } }, 5_000);
    await (await planPlainSubscription(channel, env.IMAGEN_COMPLETIONS_TOPIC, `elsewhere-${scene.id}`)).apply();
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await scene.close();
  });

  /** In this process, since most of what a run takes is its start. */
  async function imagen(args: readonly string[], more: More = {}): Promise<Finished> {
    const said = { stdout: '', stderr: '' };
    const hear = (stream: keyof typeof said) => (text: unknown) => ((said[stream] += String(text)), true);
    const spies = [
      vi.spyOn(console, 'log').mockImplementation(hear('stdout')),
      vi.spyOn(console, 'error').mockImplementation(hear('stderr')),
      vi.spyOn(process.stdout, 'write').mockImplementation(hear('stdout')),
      vi.spyOn(process.stderr, 'write').mockImplementation(hear('stderr')),
    ];
    try {
      return { code: await run(['node', 'imagen', ...args], { ...scene.env, ...more }), ...said };
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
  }

  async function examine(more: More): Promise<{ code: number | null; checks: readonly Shown[] }> {
    const { code, stdout } = await imagen(['doctor', '--json'], more);
    return { code, checks: (JSON.parse(stdout) as { checks: readonly Shown[] }).checks };
  }

  /** @returns the path of a routes file with this text */
  function routes(text: string | object): More {
    const path = join(folder, `${Math.random().toString(36).slice(2)}.json`);
    writeFileSync(path, typeof text === 'string' ? text : JSON.stringify({ models: text }));
    return { IMAGEN_ROUTES_FILE: path };
  }

  it('finds no fault where all is well, and says so in lines', async () => {
    const { code, stdout, stderr } = await scene.imagen('doctor');
    expect(code, stdout).toBe(0);
    expect(stderr).toBe('');
    const lines = stdout.trim().split('\n');
    expect(lines.at(-1)).toMatch(/^fault: 0, warning: \d+, skipped: \d+, ok: \d+$/);
    for (const { name } of CHECKS) expect(stdout).toMatch(new RegExp(`^(ok|warning|skipped) +${name} `, 'm'));
    expect(stdout).toMatch(new RegExp(`^ok +pubsub\\.topic +${scene.env.IMAGEN_JOBS_TOPIC}$`, 'm'));
    expect(stdout).toMatch(/^ok +triton\.model +upscale: version 1, 2$/m);
    expect(stdout).toMatch(/^ok +triton\.version +2\.51\.0$/m);
    expect(stdout).toMatch(/^ok +triton\.shared-memory +\/dev\/shm has \d+ MiB free$|^warning +triton\.shared-memory/m);
    expect(stdout).toMatch(/^skipped +pubsub\.rights .*the emulator/m);
    expect(stdout).not.toContain('\u001b');
  });

  it('changes nothing', async () => {
    const before = await imagen(['setup', '--dry-run', '--json']);
    const [objects] = await scene.state.getFiles();
    await examine({});
    expect(await imagen(['setup', '--dry-run', '--json'])).toEqual(before);
    expect((await scene.state.getFiles())[0]).toHaveLength(objects.length);
  });

  it.each<[what: string, more: () => More, check: string, message: RegExp, cure: RegExp]>([
    [
      'a variable has a wrong value',
      () => ({ IMAGEN_MAX_ATTEMPTS: '0' }),
      ...([
        'config.variables',
        /^IMAGEN_MAX_ATTEMPTS: expected a whole number .*given "0"/,
        /configuration\.md/,
      ] as const),
    ],
    [
      'a variable is missing',
      () => ({ GOOGLE_CLOUD_PROJECT: '' }),
      ...(['config.variables', /^GOOGLE_CLOUD_PROJECT: expected .*given nothing/, /configuration\.md/] as const),
    ],
    [
      'jobs may read the records',
      () => ({ IMAGEN_ALLOWED_INPUTS: `gs://state-${scene.id}` }),
      ...([
        'config.variables',
        /^IMAGEN_STATE_PREFIX: expected a place that no job can read/,
        /configuration\.md/,
      ] as const),
    ],
    [
      'a variable is misspelt',
      () => ({ IMAGEN_MAX_JOB: '4' }),
      ...(['config.unknown', /^IMAGEN_MAX_JOB is no setting/, /rename it if IMAGEN_MAX_JOBS is meant/] as const),
    ],
    [
      'no input is permitted',
      () => ({ IMAGEN_ALLOWED_INPUTS: '' }),
      ...(['config.permitted', /IMAGEN_ALLOWED_INPUTS is not set/, /set it to the prefixes/] as const),
    ],
    [
      'results may not go where they go by default',
      () => ({ IMAGEN_ALLOWED_OUTPUTS: `gs://results-${scene.id}/other` }),
      ...(['config.permitted', /IMAGEN_OUTPUT_PREFIX .* under none of/, /IMAGEN_ALLOWED_OUTPUTS/] as const),
    ],
    [
      'Pub/Sub is down',
      () => ({ PUBSUB_EMULATOR_HOST: NOBODY }),
      ...([
        'pubsub.reachable',
        /emulator at 127\.0\.0\.1:9 does not answer: connect ECONNREFUSED 127\.0\.0\.1:9$/,
        /start .* or mend PUBSUB_EMULATOR_HOST/,
      ] as const),
    ],
    [
      "Pub/Sub's address is Triton's",
      () => ({ PUBSUB_EMULATOR_HOST: `127.0.0.1:${ports.tritonGrpc}` }),
      ...(['pubsub.reachable', /gives no answer of Pub\/Sub/, /mend PUBSUB_EMULATOR_HOST/] as const),
    ],
    [
      'the topic of the jobs is missing',
      () => ({ IMAGEN_JOBS_TOPIC: `none-${scene.id}` }),
      ...(['pubsub.topic', /there is no topic none-/, /`imagen setup`, or mend IMAGEN_JOBS_TOPIC/] as const),
    ],
    [
      'the topic of the completions is missing',
      () => ({ IMAGEN_COMPLETIONS_TOPIC: `none-${scene.id}` }),
      ...(['pubsub.topic', /there is no topic none-/, /`imagen setup`, or mend IMAGEN_COMPLETIONS_TOPIC/] as const),
    ],
    [
      'a subscription is missing',
      () => ({ IMAGEN_JOBS_SUBSCRIPTIONS: `none-${scene.id}` }),
      ...([
        'pubsub.subscription',
        /there is no subscription none-/,
        /`imagen setup`, or mend IMAGEN_JOBS_SUBS/,
      ] as const),
    ],
    [
      'a subscription has no dead-letter policy',
      () => ({ IMAGEN_JOBS_SUBSCRIPTIONS: bare() }),
      ...([
        'pubsub.subscription',
        /bare-\w+: it has no dead-letter policy.*retry after/,
        /mend that with `imagen setup`/,
      ] as const),
    ],
    [
      'leases are too long',
      () => ({ IMAGEN_JOBS_SUBSCRIPTIONS: slow() }),
      ...(['pubsub.subscription', /slow-\w+: ack deadline: 60 s → 10 s$/, /mend that with `imagen setup`/] as const),
    ],
    [
      'the service permits fewer attempts than the worker',
      () => ({ IMAGEN_MAX_ATTEMPTS: '20' }),
      ...([
        'pubsub.subscription',
        /allows 10 attempts: expected more than IMAGEN_MAX_ATTEMPTS, 20/,
        /imagen setup/,
      ] as const),
    ],
    [
      'a subscription belongs to another topic',
      () => ({ IMAGEN_JOBS_SUBSCRIPTIONS: `elsewhere-${scene.id}` }),
      ...(['pubsub.subscription', /elsewhere-\w+ belongs to .*completions-/, /mend IMAGEN_JOBS_TOPIC or/] as const),
    ],
    [
      'two subscriptions take the same jobs',
      () => ({ IMAGEN_JOBS_SUBSCRIPTIONS: `${scene.env.IMAGEN_JOBS_SUBSCRIPTIONS},${second()}` }),
      ...(['pubsub.overlap', /has no filter, so it takes every job that .*twice/, /delete the one/] as const),
    ],
    [
      'the filters of two subscriptions overlap',
      () => ({ IMAGEN_JOBS_SUBSCRIPTIONS: `${filtered('upscale')},${filtered('urgent')}` }),
      ...(['pubsub.overlap', /upscale-\w+ and urgent-\w+ take the same jobs: filters/, /delete the one/] as const),
    ],
    [
      'nobody reads the completions',
      () => ({ IMAGEN_COMPLETIONS_TOPIC: unread() }),
      ...(['pubsub.reader', /nothing subscribes to unread-/, /imagen setup --completions-subscription NAME/] as const),
    ],
    [
      'nobody keeps the dead letters',
      () => ({ IMAGEN_DEAD_LETTER_SUBSCRIPTION: `none-${scene.id}` }),
      ...(['pubsub.dead-letters', /there is no subscription none-/, /mend IMAGEN_DEAD_LETTER_SUBSCRIPTION/] as const),
    ],
    [
      'storage is down',
      () => ({ STORAGE_EMULATOR_HOST: `http://${NOBODY}` }),
      ...([
        'storage.reachable',
        /emulator at http:\/\/127\.0\.0\.1:9 does not answer/,
        /or mend STORAGE_EMULATOR_HOST/,
      ] as const),
    ],
    [
      "storage's address is Triton's",
      () => ({ STORAGE_EMULATOR_HOST: `http://127.0.0.1:${ports.tritonHttp}` }),
      ...([
        'storage.reachable',
        /gives no answer of Cloud Storage: HTTP status 4/,
        /mend STORAGE_EMULATOR_HOST/,
      ] as const),
    ],
    [
      'the bucket of the records is missing',
      () => ({ IMAGEN_STATE_PREFIX: `gs://none-${scene.id}/records` }),
      ...(['storage.bucket', /there is no bucket none-/, /`imagen setup`, or mend IMAGEN_STATE_PREFIX/] as const),
    ],
    [
      'a bucket of inputs is missing',
      () => ({ IMAGEN_ALLOWED_INPUTS: `gs://uploads-${scene.id},gs://none-${scene.id}` }),
      ...(['storage.rights', /cannot read gs:\/\/none-\w+: there is no bucket/, /IMAGEN_ALLOWED_INPUTS/] as const),
    ],
    [
      'uploads lie among the records',
      () => ({ IMAGEN_UPLOAD_PREFIX: `gs://state-${scene.id}/records/uploads` }),
      ...([
        'storage.bucket',
        /IMAGEN_UPLOAD_PREFIX: expected a place outside of IMAGEN_STATE_PREFIX/,
        /choose prefixes/,
      ] as const),
    ],
    [
      'Triton is down',
      () => ({ TRITON_URL: NOBODY }),
      ...([
        'triton.live',
        /Triton at 127\.0\.0\.1:9 does not answer: connect ECONNREFUSED 127\.0\.0\.1:9$/,
        /start it, or mend TRITON_URL/,
      ] as const),
    ],
    [
      "Triton's address is that of HTTP",
      () => ({ TRITON_URL: `127.0.0.1:${ports.tritonHttp}` }),
      ...(['triton.live', /does not answer/, /the address of gRPC \(port 8001 by default\), not of HTTP/] as const),
    ],
    [
      "Triton's address is Pub/Sub's",
      () => ({ TRITON_URL: scene.env.PUBSUB_EMULATOR_HOST }),
      ...(['triton.live', /gives no answer of Triton/, /mend TRITON_URL/] as const),
    ],
    [
      'the key is wrong',
      () => ({ TRITON_ADMIN_KEY: 'guessed' }),
      ...(['triton.restricted', /TRITON_ADMIN_KEY does not open/, /the key that Triton was started with/] as const),
    ],
    [
      'the key is in a file that is not there',
      () => ({ TRITON_ADMIN_KEY: '', TRITON_ADMIN_KEY_FILE: '/nonexistent/key' }),
      ...(['triton.restricted', /TRITON_ADMIN_KEY_FILE: expected a file that can be read/, /mount the key/] as const),
    ],
    [
      'the routes name a version that is not served',
      () => routes({ style_aged: { default: '9' } }),
      ...([
        'routes.served',
        /style_aged\/9, and Triton serves version 1 of it/,
        /load style_aged\/9, or mend the routes/,
      ] as const),
    ],
    [
      'the routes name a model that nobody knows',
      () => routes({ nothing: { default: '1' } }),
      ...(['routes.served', /nothing\/1, and Triton does not know that model/, /mend the routes file/] as const),
    ],
    [
      'the contract of a model in use is broken',
      () => routes({ bad_contract: { default: '1' } }),
      ...([
        'routes.served',
        /bad_contract: imagen\.tile_sizes: expected at least one size/,
        /mend its config\.pbtxt/,
      ] as const),
    ],
    [
      'the routes file is no JSON',
      () => routes('{ models'),
      ...(['routes.file', /^IMAGEN_ROUTES_FILE: .*expected JSON/, /mend the file/] as const),
    ],
    [
      'the routes file is missing',
      () => ({ IMAGEN_ROUTES_FILE: join(folder, 'none.json') }),
      ...(['routes.file', /there is no such file/, /or mend IMAGEN_ROUTES_FILE/] as const),
    ],
    [
      'pictures may take more memory than there is',
      () => ({ IMAGEN_MAX_DECODED_BYTES: '1099511627776' }),
      ...([
        'machine.memory',
        /IMAGEN_MAX_DECODED_BYTES alone permits .* will be killed/,
        /lower IMAGEN_MAX_DECODED_BYTES to/,
      ] as const),
    ],
  ])('names the fault and its cure where %s', async (_, more, name, message, cure) => {
    const { code, checks } = await examine(more());
    expect(code).toBe(1);
    const faults = checks.filter(({ verdict }) => verdict === 'fault');
    expect(faults.filter((one) => one.name === name)).toContainEqual({
      ...{ name, verdict: 'fault' },
      message: expect.stringMatching(message) as string,
      cure: expect.stringMatching(cure) as string,
    });
    // No fault hides a check.
    expect(new Set(checks.map((one) => one.name))).toEqual(new Set(CHECKS.map((one) => one.name)));
  });

  it('warns of completions that only a watch reads', async () => {
    const { channel, id } = scene;
    await ensureTopic(channel, `watched-${id}`);
    await (await planPlainSubscription(channel, `watched-${id}`, `imagen-watch-${id}`)).apply();
    const { code, checks } = await examine({ IMAGEN_COMPLETIONS_TOPIC: `watched-${id}` });
    expect(code).toBe(0);
    expect(checks.filter(({ name }) => name === 'pubsub.reader')).toMatchObject([
      { verdict: 'warning', message: expect.stringContaining(`imagen-watch-${id} alone`) as string },
    ]);
  });

  it('names a model that the routes name and that is not loaded', async () => {
    await controlModel(ports, 'single', 'unload');
    try {
      const { code, checks } = await examine(routes({ single: { default: '1' } }));
      expect(checks).toContainEqual({
        ...{ name: 'routes.served', verdict: 'fault' },
        message: expect.stringMatching(/single\/1, which cannot be used: /) as string,
        cure: expect.stringContaining('imagen models reload single') as string,
      });
      expect(code).toBe(1);
    } finally {
      await controlModel(ports, 'single', 'load');
    }
  });

  it('names missing credentials, and skips what needs them', async () => {
    const env = { ...scene.env, PUBSUB_EMULATOR_HOST: '', GOOGLE_APPLICATION_CREDENTIALS: join(folder, 'none.json') };
    const { code, stdout } = await runProgram(process.execPath, [CLI, 'doctor'], env);
    expect(stdout).toMatch(/^fault +credentials\.pubsub +there are no credentials/m);
    expect(stdout).toMatch(/^ +→ in GKE, give the pod its service account/m);
    expect(stdout).toMatch(/^skipped +pubsub\.reachable +credentials\.pubsub found a fault$/m);
    expect(stdout).toMatch(/^skipped +pubsub\.topic +pubsub\.reachable was skipped$/m);
    expect(code).toBe(1);
  });

  // In a mount namespace /dev/shm can be another folder, as in a container that does not share it.
  const apart = ['--map-root-user', '--mount', 'sh', '-c'];
  const canPart = spawnSync('unshare', [...apart, 'mount -t tmpfs none /dev/shm']).status === 0;

  it.skipIf(!canPart).each([
    ['shm', 1, /^fault +triton\.shared-memory .*expected one \/dev\/shm in both containers/m],
    ['auto', 0, /^warning +triton\.shared-memory .*they travel in messages/m],
  ])('names memory that is not shared, for the transport %s', async (transport, expected, message) => {
    const env = { ...scene.env, IMAGEN_TRITON_TRANSPORT: transport };
    const command = 'mount -t tmpfs none /dev/shm && exec "$0" "$1" doctor';
    const { code, stdout } = await runProgram('unshare', [...apart, command, process.execPath, CLI], env);
    expect(stdout).toMatch(message);
    expect(stdout).toMatch(/^ +→ mount one volume of kind Memory at \/dev\/shm/m);
    expect(code).toBe(expected);
  });

  describe('where nothing answers', () => {
    const sockets = new Set<Socket>();
    let silent: Server;
    beforeAll(async () => {
      silent = createServer((socket) => void sockets.add(socket.on('error', () => undefined))).listen(0, '127.0.0.1');
      await once(silent, 'listening');
    });
    afterAll(() => {
      silent.close();
      for (const socket of sockets) socket.destroy();
    });

    it('has looked at everything within ten seconds', async () => {
      const address = `127.0.0.1:${(silent.address() as AddressInfo).port}`;
      const away = { PUBSUB_EMULATOR_HOST: address, STORAGE_EMULATOR_HOST: `http://${address}`, TRITON_URL: address };
      const startedAt = performance.now();
      const { code, stdout } = await imagen(['doctor'], away);
      expect(performance.now() - startedAt).toBeLessThan(10_000);
      expect(code).toBe(1);
      for (const name of ['pubsub.reachable', 'storage.reachable', 'triton.live']) {
        expect(stdout).toMatch(new RegExp(`^fault +${name.replace('.', '\\.')} .*does not answer`, 'm'));
      }
      expect(stdout).toMatch(/^ok +routes\.file/m);
      expect(stdout).toMatch(/^skipped +clock +storage\.reachable found a fault$/m);
      // What is to be done comes last.
      expect(stdout.trim().split('\n').at(-2)).toMatch(/^ +→ /);
    });
  });

  it('is called with options that it knows alone', async () => {
    const { code, stdout, stderr } = await imagen(['doctor', 'now']);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/too many arguments/);
    const help = await imagen(['doctor', '--help']);
    expect(help.stdout).toMatch(
      /Examples:\n {2}imagen doctor\n[\s\S]*Exit codes:\n {2}0 {2}no fault.*\n {2}1 {2}a fault\n {2}2 {2}wrong call/,
    );
    expect((await imagen(['completion', 'bash'])).stdout).toMatch(/'doctor'\) words='--json --help'/);
  });

  it.each([
    ['a wrong variable', { IMAGEN_MAX_JOBS: 'many' }, 2],
    ['a port that is taken', { PORT: String(ports.tritonHttp) }, 1],
  ])('is named by a worker that cannot start because of %s', async (_, more, expected) => {
    const env = { ...scene.env, ...more };
    const { code, stdout, stderr } = await runProgram(process.execPath, [CLI, 'worker'], env);
    expect(stdout + stderr).toMatch(/\\?"imagen doctor\\?" looks at everything/);
    expect(code).toBe(expected);
  });
});
