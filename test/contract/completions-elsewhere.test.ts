/** `imagen setup` has completions delivered elsewhere, on Google's emulator, which pushes but writes nothing to Google's services. */
import { spawn } from 'node:child_process';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { run } from '../../src/cli/index.js';
import { connect } from '../support/pubsub-clients.js';
import { createScene, type Scene, until } from '../support/scene.js';

const photo = new URL('../fixtures/photos/chelsea.jpg', import.meta.url);
const WEBHOOK = new URL('../../docs/examples/webhook.mjs', import.meta.url).pathname;

interface Push {
  readonly headers: IncomingHttpHeaders;
  readonly body: {
    readonly subscription: string;
    readonly message: { data: string; messageId: string; publishTime: string; attributes: Record<string, string> };
  };
}

/** A webhook that answers with the given codes in turn, the last one for ever. */
async function startWebhook(...codes: readonly number[]) {
  const pushes: Push[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      response.writeHead(codes[Math.min(pushes.length, codes.length - 1)] ?? 204).end();
      pushes.push({ headers: request.headers, body: JSON.parse(Buffer.concat(chunks).toString()) as Push['body'] });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/done`, pushes, close };
}

/** docs/examples/webhook.mjs as a process. */
async function startExample() {
  const env = { ...process.env, PORT: '0', WEBHOOK_WITHOUT_TOKEN: 'yes' };
  const child = spawn(process.execPath, [WEBHOOK], { env });
  let shown = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (shown += chunk.toString()));
  await until(
    () => /listening on \d+/.test(shown),
    20_000,
    () => shown,
  );
  const url = `http://127.0.0.1:${/listening on (\d+)/.exec(shown)?.[1] ?? ''}/`;
  return { url, shown: () => shown, close: () => child.kill() };
}

describe('completions elsewhere', () => {
  let scene: Scene;
  let webhook: Awaited<ReturnType<typeof startWebhook>>;
  let example: Awaited<ReturnType<typeof startExample>>;
  let clients: ReturnType<typeof connect>;
  let flags: string[];
  const name = (of: string) => `${of}-${scene.id}`;
  const lookAt = async (of: string) => (await scene.pubsub.subscription(name(of)).getMetadata())[0];

  async function setup(...args: readonly string[]) {
    const said = { stdout: '', stderr: '' };
    const out = vi.spyOn(console, 'log').mockImplementation((text: string) => void (said.stdout += `${text}\n`));
    const err = vi.spyOn(console, 'error').mockImplementation((text: string) => void (said.stderr += `${text}\n`));
    try {
      return { code: await run(['node', 'imagen', 'setup', ...args], scene.env), ...said };
    } finally {
      out.mockRestore();
      err.mockRestore();
    }
  }

  beforeAll(async () => {
    [scene, webhook, example] = await Promise.all([createScene(), startWebhook(500, 204), startExample()]);
    clients = connect(scene.env.PUBSUB_EMULATOR_HOST);
    flags = [
      ...['--completions-push', `${name('hook')}=${webhook.url}`],
      ...['--completions-push', `${name('example')}=${example.url}`],
      ...['--push-service-account', 'push@p.iam.gserviceaccount.com', '--push-audience', 'shop'],
      ...['--completions-bigquery', `${name('table')}=reports.completions`],
      ...['--completions-bucket', `${name('files')}=gs://archive/imagen`],
      ...['--completions-filter', 'NOT attributes:type', '--completions-dead-letter-topic', name('undelivered')],
    ];
  });
  afterAll(async () => {
    webhook.close();
    example.close();
    await Promise.all([clients.close(), scene.close()]);
  });

  it('tells in a dry run what it would make, and makes nothing', async () => {
    const { code, stdout, stderr } = await setup(...flags, '--dry-run');
    expect({ code, stderr }).toMatchObject({ code: 3 });
    for (const line of [
      `topic        ${name('undelivered')}: would be created`,
      `subscription ${name('undelivered')}-review: would be created`,
      `pushes to: ${webhook.url} with a token of push@p.iam.gserviceaccount.com for shop`,
      'writes to: imagen-local.reports.completions with metadata',
      'writes to: gs://archive/imagen/YYYY-MM-DD/hh_mm_ssZ….jsonl as text, a file for at most 300 s or 100000000 bytes',
      'filter: NOT attributes:type',
      `dead letters: to projects/imagen-local/topics/${name('undelivered')} after 100 attempts`,
    ]) {
      expect(stdout).toContain(line);
    }
    expect(stderr).toContain('warning: the emulator pushes without a token');
    expect(stderr).toContain('warning: the emulator writes nothing to imagen-local.reports.completions');
    expect(await scene.pubsub.subscription(name('hook')).exists()).toEqual([false]);
  });

  it('makes them, and finds nothing to do afterwards', async () => {
    const { code, stderr } = await setup(...flags);
    expect(code, stderr).toBe(0);
    expect(await lookAt('hook')).toMatchObject({
      pushConfig: { pushEndpoint: webhook.url, oidcToken: { audience: 'shop' } },
      ...{ ackDeadlineSeconds: 30, filter: 'NOT attributes:type', deadLetterPolicy: { maxDeliveryAttempts: 100 } },
    });
    expect(await setup(...flags, '--dry-run')).toMatchObject({ code: 0 });
  });

  it("pushes a worker's completion in the wrapped form, and again after a 500", async () => {
    const worker = await scene.startWorker();
    const uri = await scene.upload('a.jpg', await readFile(photo));
    await scene.publish({ jobId: 'pushed', operations: ['style_aged'], input: { uri } });
    const [published] = await scene.completions(1, 'pushed');
    await until(
      () => webhook.pushes.length >= 2,
      20_000,
      () => `${webhook.pushes.length} pushes`,
    );

    const [refused, taken] = webhook.pushes;
    expect(taken?.body).toEqual(refused?.body);
    const { subscription, message } = refused?.body ?? {};
    expect(subscription).toBe(`projects/imagen-local/subscriptions/${name('hook')}`);
    expect(Buffer.from(message?.data ?? '', 'base64').toString()).toBe(published?.body);
    expect(message).toMatchObject({ attributes: published?.attributes, messageId: expect.any(String) as string });
    expect(refused?.headers).toMatchObject({ 'content-type': 'application/json' });
    expect(refused?.headers.authorization).toBeUndefined();

    await until(() => example.shown().includes('pushed succeeded'), 10_000, example.shown);
    worker.signal('SIGTERM');
    expect(await worker.exit).toBe(0);
  });

  it('keeps what the service would write to BigQuery and Cloud Storage, for anyone who pulls', async () => {
    for (const of of ['table', 'files']) {
      const subscription = `projects/imagen-local/subscriptions/${name(of)}`;
      const [{ receivedMessages }] = await clients.subscriber.pull({ subscription, maxMessages: 1 });
      expect(JSON.parse(Buffer.from(receivedMessages?.[0]?.message?.data ?? '').toString())).toMatchObject({
        jobId: 'pushed',
      });
    }
  });

  it('finds another webhook, and changes it', async () => {
    const elsewhere = ['--completions-push', `${name('hook')}=https://shop.example/done`];
    const difference = `pushes to: ${webhook.url} with a token of push@p.iam.gserviceaccount.com for shop → https://shop.example/done with no token`;
    const dry = await setup(...elsewhere, '--dry-run');
    expect(dry).toMatchObject({ code: 3, stdout: expect.stringContaining(difference) as string });
    expect(await setup(...elsewhere)).toMatchObject({ code: 0 });
    expect((await lookAt('hook')).pushConfig).toMatchObject({ pushEndpoint: 'https://shop.example/done' });
    expect(await setup(...elsewhere, '--dry-run')).toMatchObject({ code: 0 });
  });

  it('shows what Pub/Sub says where a change is refused, as the emulator does for tables and files', async () => {
    const other = ['--completions-bigquery', `${name('table')}=other.project`];
    expect((await setup(...other, '--dry-run')).stdout).toContain(
      'writes to: imagen-local.reports.completions with metadata → imagen-local.other.project with metadata',
    );
    const { code, stderr } = await setup(...other);
    expect(code).toBe(1);
    expect(stderr).toContain(`change ${name('table')}: `);
    expect(stderr).toContain('bigquery_config is not a known Subscription field');
  });

  it('says that neither the way of delivery nor the filter can change, and what to do', async () => {
    const { code, stderr } = await setup(
      ...['--completions-subscription', name('hook'), '--completions-bucket', `${name('files')}=gs://archive/imagen`],
      ...['--completions-filter', 'attributes.status = "failed"'],
    );
    expect(code).toBe(1);
    expect(stderr).toContain(`${name('hook')} is a push subscription, wanted a pull subscription. Make one under`);
    expect(stderr).toContain(
      'wanted the filter attributes.status = "failed": Pub/Sub does not let a filter change. Make one',
    );
    expect(stderr).toContain('nothing was changed');
  });
});
