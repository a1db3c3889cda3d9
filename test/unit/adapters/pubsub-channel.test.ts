/** Tokens and TLS, as on Google Cloud. The emulator has neither. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ServerCredentials, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { run } from '../../../scripts/dev/run.js';
import { PubSubChannel } from '../../../src/adapters/pubsub/channel.js';
import type { Tokens } from '../../../src/adapters/tokens.js';
import { type Answers, refusal, standInForPubSub } from '../../support/pubsub-stand-in.js';

/** grpc-js reads the variable when it is loaded, and the file when it first connects. */
const dir = await vi.hoisted(async () => {
  const { mkdtempSync } = await import('node:fs');
  const { tmpdir } = await import('node:os');
  const made = mkdtempSync(`${tmpdir()}/imagen-tls-`);
  process.env.GRPC_DEFAULT_SSL_ROOTS_FILE_PATH = `${made}/certificate.pem`;
  return made;
});

describe('the connection to Pub/Sub', () => {
  const answers: Answers = {};
  const seen: (string | undefined)[] = [];
  let accepted = 'token-1';
  let made = 0;
  let away = false;
  let service: Awaited<ReturnType<typeof standInForPubSub>>;
  let channel: PubSubChannel;

  /** The next token when the last one was forgotten. */
  let held: Awaited<ReturnType<Tokens['fresh']>> | undefined;
  const tokens: Tokens = {
    held: () => held,
    fresh() {
      if (away) return Promise.reject(new Error('the metadata server is away'));
      held = { headers: { authorization: `token-${++made}` }, forget: () => (held = undefined) };
      return Promise.resolve(held);
    },
  };

  beforeAll(async () => {
    const [key, certificate] = [join(dir, 'key.pem'), join(dir, 'certificate.pem')];
    const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    await run('openssl', [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-keyout', key, '-out', certificate],
      ...names,
    ]);
    const pair = { private_key: readFileSync(key), cert_chain: readFileSync(certificate) };
    service = await standInForPubSub(answers, ServerCredentials.createSsl(null, [pair]));
    channel = new PubSubChannel({ projectId: 'p', endpoint: service.address, tokens });
    answers.unary = (_method, _request, authorization) => {
      seen.push(authorization);
      if (authorization !== accepted) throw refusal(status.UNAUTHENTICATED);
      return {};
    };
  });
  afterAll(() => {
    channel.close();
    service.close();
    rmSync(dir, { recursive: true });
  });
  const call = () => channel.call('GetSubscription', { subscription: 's' }, 5_000);

  it('sends a token with each call, and a new one after the service has refused it', async () => {
    await call();
    await call();
    accepted = 'token-2';
    await expect(call()).rejects.toMatchObject({ code: status.UNAUTHENTICATED });
    await call();
    expect(seen).toEqual(['token-1', 'token-1', 'token-1', 'token-2']);
  });

  it('is unavailable, and not forbidden, while there are no tokens', async () => {
    held = undefined;
    away = true;
    await expect(call()).rejects.toMatchObject({ code: status.UNAVAILABLE });
    away = false;
    accepted = 'token-3';
    await call();
  });

  it('keeps names that are whole, and completes the others', () => {
    expect(channel.topic('t')).toBe('projects/p/topics/t');
    expect(channel.topic('projects/q/topics/t')).toBe('projects/q/topics/t');
    expect(channel.subscription('s')).toBe('projects/p/subscriptions/s');
  });
});
