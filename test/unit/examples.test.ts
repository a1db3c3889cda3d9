/** What docs/examples says of completions: the queries ask for fields that exist, and the webhook refuses who is not Pub/Sub. */
import { spawn } from 'node:child_process';
import { createSign, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../support/program.js';

const at = (name: string) => new URL(`../../docs/${name}`, import.meta.url).pathname;
const read = (name: string) => readFileSync(at(name), 'utf8');

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

/** Whether a path such as `$.steps[0].model` leads to a property. */
function leads(schema: Schema, path: string): boolean {
  let here: Schema | undefined = schema;
  for (const [, name = '', item] of path.matchAll(/\.(\w+)(\[\d+\])?/g)) {
    here = here?.properties?.[name];
    if (item !== undefined) here = here?.items;
  }
  return here !== undefined;
}

describe('docs/examples/completions.sql', () => {
  const sql = read('examples/completions.sql');
  const paths = (column: string) =>
    [...sql.matchAll(/\((\w+), '(\$[^']*)'\)/g)].filter(([, of]) => of === column).map(([, , path = '']) => path);

  // `step` is an element of the completion's steps.
  const steps = paths('step').map((path) => path.replace('$', '$.steps[0]'));

  it.each([...new Set([...paths('data'), ...steps])])('%s is a field of a completion', (path) =>
    expect(leads(JSON.parse(read('schemas/completion.json')) as Schema, path)).toBe(true),
  );

  it('asks for attributes that messages have', () => {
    const told = read('messages.md');
    for (const path of paths('attributes')) expect(told).toContain(`\`${path.slice(2)}\``);
  });

  it('names columns of the table, and takes one row of each event in every query', () => {
    const columns = (JSON.parse(read('examples/completions-table.json')) as { name: string }[]).map(({ name }) => name);
    expect(columns).toEqual(['subscription_name', 'message_id', 'publish_time', 'data', 'attributes']);
    const queries = sql.split(';').filter((one) => one.includes('SELECT'));
    expect(queries).toHaveLength(5);
    for (const query of queries) {
      expect(query).toContain("PARTITION BY JSON_VALUE(data, '$.eventId')");
      expect(query).toMatch(/WHERE (DATE\()?publish_time/);
    }
    expect(new Set([...sql.matchAll(/\((\w+), '\$/g)].map(([, column]) => column))).toEqual(
      new Set(['data', 'attributes', 'step']),
    );
  });
});

describe('docs/examples/webhook.mjs', () => {
  const AUDIENCE = 'https://shop.example/done';
  const ACCOUNT = 'push@p.iam.gserviceaccount.com';
  const keys = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const others = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const preload = new URL('../support/google-keys.js', import.meta.url).href;
  let child: ReturnType<typeof spawn>;
  let url: string;
  let shown = '';

  const env = {
    ...{ ...process.env, PORT: '0', WEBHOOK_AUDIENCE: AUDIENCE, WEBHOOK_SERVICE_ACCOUNT: ACCOUNT },
    GOOGLE_KEYS: JSON.stringify({ one: keys.publicKey.export({ type: 'spki', format: 'pem' }) }),
  };

  beforeAll(async () => {
    child = spawn(process.execPath, ['--import', preload, at('examples/webhook.mjs')], { env });
    url = await new Promise((resolve) => {
      const listen = (chunk: Buffer) => {
        shown += chunk.toString();
        const [, port] = /listening on (\d+)/.exec(shown) ?? [];
        if (port !== undefined) resolve(`http://127.0.0.1:${port}/`);
      };
      child.stdout?.on('data', listen);
      child.stderr?.on('data', listen);
    });
  });
  afterAll(() => {
    child.kill();
  });

  function token(claims: Readonly<Record<string, unknown>> = {}, key = keys.privateKey): string {
    const now = Math.floor(Date.now() / 1000);
    const payload = {
      ...{ iss: 'https://accounts.google.com', aud: AUDIENCE, email: ACCOUNT, email_verified: true },
      ...{ iat: now, exp: now + 3600, ...claims },
    };
    const signed = [{ alg: 'RS256', kid: 'one' }, payload]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    return `${signed}.${createSign('RSA-SHA256').update(signed).sign(key, 'base64url')}`;
  }

  const push = async (authorization: string | undefined, body = '{') =>
    (await fetch(url, { method: 'POST', body, headers: authorization === undefined ? {} : { authorization } })).status;
  const wrapped = (completion: object) =>
    JSON.stringify({
      subscription: 'projects/p/subscriptions/hook',
      message: { data: Buffer.from(JSON.stringify(completion)).toString('base64'), messageId: '1', attributes: {} },
    });

  it('takes what Pub/Sub has signed, once for each event', async () => {
    const done = wrapped({ eventId: 'e1', jobId: 'job-1', status: 'succeeded' });
    expect(await push(`Bearer ${token()}`, done)).toBe(204);
    expect(await push(`Bearer ${token()}`, done)).toBe(204);
    expect(await push(`Bearer ${token()}`, wrapped({ eventId: 'e2', type: 'group', group: { id: 'g' } }))).toBe(204);
    expect(shown.match(/job-1 succeeded/g)).toHaveLength(1);
    expect(shown).toContain('g group');
  });

  it('answers 500 to what it cannot handle, so that it comes again', async () => {
    expect(await push(`Bearer ${token()}`, '{')).toBe(500);
  });

  it.each([
    ['no token', undefined],
    ['a token that is none', 'Bearer nothing-that-has-three-parts'],
    ['a token for somebody else', `Bearer ${token({ aud: 'https://other.example' })}`],
    ['a token of another service account', `Bearer ${token({ email: 'other@p.iam.gserviceaccount.com' })}`],
    ['a token whose email is not verified', `Bearer ${token({ email_verified: false })}`],
    ['an old token', `Bearer ${token({ iat: 1_000, exp: 4_600 })}`],
    ['a token that another key has signed', `Bearer ${token({}, others.privateKey)}`],
  ])('refuses %s, and does not log it', async (_, authorization) => {
    expect(await push(authorization, wrapped({ eventId: 'e3', jobId: 'never', status: 'succeeded' }))).toBe(401);
    expect(shown).not.toContain('never');
    expect(shown).not.toContain(authorization?.slice(12, 80) ?? 'never');
  });

  it('does not start without knowing whose token to expect', async () => {
    const bare = { ...env, WEBHOOK_SERVICE_ACCOUNT: '' };
    const { code, stderr } = await runProgram(process.execPath, [at('examples/webhook.mjs')], bare);
    expect(code).toBe(1);
    expect(stderr).toContain('WEBHOOK_AUDIENCE and WEBHOOK_SERVICE_ACCOUNT: expected both');
  });
});
