import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createLogger, type LoggerOptions } from '../../../src/telemetry/logger.js';

function logged(options: LoggerOptions = {}) {
  const lines: string[] = [];
  const log = createLogger('debug', { worker: 'w' }, { ...options, to: { write: (line) => void lines.push(line) } });
  return { log, lines, last: () => JSON.parse(lines.at(-1) ?? '') as Record<string, unknown> };
}

describe('a line', () => {
  it('has the names that Cloud Logging reads', () => {
    const { log, last } = logged();
    log.warn({ jobId: 'a' }, 'hello');
    expect(last()).toMatchObject({ severity: 'WARNING', message: 'hello', worker: 'w', jobId: 'a' });
    expect(Date.parse(String(last().time))).toBeCloseTo(Date.now(), -4);
    log.fatal('oh');
    expect(last().severity).toBe('CRITICAL');
  });

  it('has an error’s message, stack and cause', () => {
    const { log, last } = logged();
    log.error({ error: new Error('above', { cause: new TypeError('below') }) }, 'x');
    expect(last().error).toMatchObject({ message: expect.stringContaining('below') as string, type: 'Error' });
    expect((last().error as { stack: string }).stack).toContain('logger.test');
  });

  it('has what a completion says of an error, and no more', () => {
    const { log, last } = logged();
    const error = { code: 'INPUT_CORRUPT', stage: 'decode', retryable: false, message: 'cut off' };
    log.warn({ error }, 'job ended');
    expect(last().error).toEqual(error);
  });

  it('has the trace that is going on, if somebody knows of one', () => {
    let trace: object = {};
    const { log, last } = logged({ traceFields: () => trace });
    log.info('before');
    expect(Object.keys(last())).toEqual(['severity', 'time', 'worker', 'message']);
    trace = { 'logging.googleapis.com/trace': 'projects/p/traces/1', 'logging.googleapis.com/trace_sampled': true };
    log.info('during');
    expect(last()).toMatchObject(trace);
  });
});

const SECRET = 'hunter2SECRETabcDEF0123456789';
const KEY = `-----BEGIN PRIVATE KEY-----\nMIIE${SECRET}\n${SECRET}==\n-----END PRIVATE KEY-----\n`;
const ACCOUNT = { type: 'service_account', private_key_id: SECRET, private_key: KEY, client_email: 'a@b.c' };
const SIGNED =
  'https://storage.googleapis.com/b/o.jpg?X-Goog-Algorithm=GOOG4-RSA-SHA256' +
  `&X-Goog-Credential=${SECRET}%2F20260101%2Fauto&X-Goog-Date=20260101T000000Z&X-Goog-Signature=${SECRET}`;

const HOSTILE: Readonly<Record<string, unknown>> = {
  'a signed URL': SIGNED,
  'a signed URL in small letters': SIGNED.toLowerCase().replaceAll(SECRET.toLowerCase(), SECRET),
  'a signed URL within a URL': `https://proxy/?to=${encodeURIComponent(SIGNED)}`,
  'a signed URL of the old kind': `https://storage.googleapis.com/b/o?GoogleAccessId=a@b.c&Expires=1&Signature=${SECRET}%3D`,
  'a signed URL of another cloud': `https://s3/b?X-Amz-Security-Token=${SECRET}&X-Amz-Signature=${SECRET}`,
  'an access token in a query': `GET /x?access_token=${SECRET}&alt=json failed`,
  'an API key in a query': `GET https://x/y?alt=json&key=${SECRET} failed`,
  'a header': { headers: { Authorization: `Bearer ${SECRET}` } },
  'a header by another name': { headers: { 'x-goog-api-key': SECRET, cookie: `session=${SECRET}; b=${SECRET}` } },
  'a list of cookies': { headers: { 'set-cookie': [`a="]${SECRET}; Path=/`, `b=${SECRET}`] } },
  'a list as node prints it': inspect({ headers: { cookie: [`a=${SECRET}`, `b=${SECRET}`] } }),
  'cookies as text': `Cookie: a=${SECRET}; b=${SECRET}`,
  'a header as text': `authorization: Bearer ${SECRET}`,
  'basic credentials': `Authorization: Basic ${SECRET}==`,
  'a list of headers': { rawHeaders: ['Authorization', `Bearer ${SECRET}`] },
  'the key of a service account': ACCOUNT,
  'the same as text': JSON.stringify(ACCOUNT),
  'the same as text within text': JSON.stringify({ body: JSON.stringify(ACCOUNT) }),
  'the same as node prints it': inspect({ config: ACCOUNT }, { depth: 9 }),
  'a key that is cut off': KEY.slice(0, -40),
  'an OAuth answer': { data: { access_token: SECRET, refresh_token: SECRET, id_token: SECRET, expires_in: 1 } },
  'a form': `grant_type=x&refresh_token=${SECRET}&client_secret=${SECRET}`,
  'a value with quotes': { client_secret: `a"${SECRET}\\"${SECRET}` },
  'the same in text': JSON.stringify({ password: `a"${SECRET}` }),
  'a token by its look': `got ya29.${SECRET} from the server`,
  'a key by its look': `got AIza${SECRET}${SECRET}`,
  'a JSON Web Token': `eyJhbGciOiJSUzI1NiJ9.${SECRET}.${SECRET}`,
  'a password in a URL': `https://user:${SECRET}@host/path`,
  'a password with an @ in a URL': `https://user:p@${SECRET}@host/path?a=b`,
  'a password in text': `login failed with password=${SECRET}, giving up`,
  'a password in quotes': `login failed with password="a ${SECRET}"`,
  'a password after a colon': `password: ${SECRET}`,
  'a password after a colon, in quotes': `password: "a ${SECRET}"`,
  'a password within a longer name': `DB_PASSWORD=${SECRET} dbPassword: ${SECRET}`,
  'a secret in text': `secret=${SECRET}`,
  'properties with longer names': { db_password: SECRET, passphrase: SECRET, accessKey: SECRET, userSecret: SECRET },
  'the same as node prints them': inspect({ db_password: SECRET, passphrase: SECRET, accessKey: SECRET }),
  'longer names as text within text': JSON.stringify({
    body: JSON.stringify({ db_password: SECRET, passphrase: SECRET }),
  }),
  'an access key of another cloud': `https://s3/b?AWSAccessKeyId=${SECRET}&Expires=1`,
  'a scheme that nobody knows': `Authorization: Hmac ${SECRET}`,
  'digest credentials': `Authorization: Digest username="a", realm="b, c", response="${SECRET}", qop=auth, nc=1`,
  'digest credentials that are cut off': `Authorization: Digest username="a", response="${SECRET}`,
  'digest credentials without their header': `sent Digest username=a, response=${SECRET}`,
  'digest credentials in a list': { rawHeaders: ['Authorization', `Digest username="a", response="${SECRET}"`] },
  'digest credentials within text': JSON.stringify({ m: `Authorization: Digest a="b", response="${SECRET}"` }),
  'a signature in a header': `Authorization: AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=${SECRET}`,
  'a token in text': `login failed with token=${SECRET}, giving up`,
  'a token in quotes': `login failed with csrf_token="${SECRET}"`,
  'a signature in text': `sig=${SECRET} signature='${SECRET}'`,
  'a password by its short name': `pwd=${SECRET} PWD="a ${SECRET}"`,
  'a cookie that begins like a verdict': `Cookie: expected=${SECRET}; required; b=${SECRET}`,
  'a cookie after one': `Cookie: required; b=${SECRET}`,
  'a signed URL encoded twice': `to=${encodeURIComponent(encodeURIComponent(SIGNED))}`,
  'its end alone': `X-Goog-Signature%253D${SECRET}`,
  'what follows an equals sign encoded twice': `a%253DX-Goog-Signature%253D${SECRET}%2526b`,
};

describe('secrets', () => {
  it.each(Object.entries(HOSTILE))('%s stands in no line', (_name, value) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    const { log, lines } = logged();
    log.info({ value, deep: [{ er: { value } }] }, 'x');
    log.info(text);
    log.error({ error: new Error(`failed: ${text}`, { cause: new Error(text) }) }, text);
    log.child({ bound: value }).warn('x');
    for (const line of lines) {
      expect(line).not.toContain(SECRET);
      expect(line.toLowerCase()).not.toContain(SECRET.toLowerCase());
      expect(line).toContain('[redacted]');
      expect(() => JSON.parse(line) as unknown).not.toThrow();
    }
    expect(lines).toHaveLength(4);
  });

  it.each([
    { password: 4711815 },
    { db_password: -4711815.5e3 },
    JSON.stringify({ password: 4711815, token: 4711815 }),
    JSON.stringify({ body: JSON.stringify({ passphrase: 4711815 }) }),
  ])('may be numbers: %j', (value) => {
    const { log, lines } = logged();
    log.info({ value }, 'x');
    log.info(typeof value === 'string' ? value : JSON.stringify(value));
    for (const line of lines) {
      expect(line).not.toContain('4711815');
      expect(() => JSON.parse(line) as unknown).not.toThrow();
    }
  });

  it('are known by the look of Amazon’s keys, wherever they stand', () => {
    const { log, last } = logged();
    log.info({ uri: 'gs://in/AKIA0123456789ABCDEF/a.jpg', AWSAccessKeyId: 'x' }, 'xAKIA0123456789ABCDEF');
    expect(last()).toMatchObject({
      uri: 'gs://in/[redacted]/a.jpg',
      message: 'x[redacted]',
      AWSAccessKeyId: '[redacted]',
    });
  });

  it.each([
    'apiKey: unknown field',
    'input.password: unknown field; operations: too small',
    'cookie: expected a string, given 3; operations: too small',
    'authorization: required',
    'secret: Too small: expected string to have >=1 characters',
    'password: expected at most 3 characters; accessKey: required; passphrase: invalid',
    'the password was wrong, and so was the secret',
    'Digest of the picture: sha256=0123456789abcdef, bytes=7',
    'the digest realm was unknown, and no token was given',
    'ended by sig=SIGVTALRM in PWD=/srv/app; token=4, token=undefined, pageToken=12345678',
    'no object gs://in/token=20261125/a.jpg, nor "token = 12345678"',
    'https://host:8080/a@b?c=d',
  ])('do not stand in: %s', (sentence) => {
    const { log, last } = logged();
    log.info({ error: { message: sentence }, text: JSON.stringify({ message: sentence }) }, sentence);
    const text = JSON.stringify({ message: sentence });
    expect(last()).toMatchObject({ message: sentence, error: { message: sentence }, text });
  });

  it.each([
    ...['\\', '://a:', 'eyJ', '"key":"', '-----BEGIN PRIVATE KEY', 'cookie:', '&key', 'Bearer ', '\\"token\\":'],
    ...[
      'password',
      'password: ',
      'password=\\"',
      'cookie: required; ',
      'authorization: a ',
      'db_',
      '"db_',
      '%25',
      '://a:@',
    ],
    ...[
      'Digest ',
      'Digest uri=',
      'authorization: a b=',
      'Digest uri=\\"',
      'token=',
      'token=a',
      'pwd=\\"',
      'sig='.padEnd(40, '/'),
    ],
    ...['secret=%25', '"password":1', 'AKIA', 'access-', 'password:'.padEnd(40)],
  ])('cost no time, however often something begins like one: %s', (beginning) => {
    const { log } = logged();
    const startedAt = performance.now();
    log.info(beginning.repeat(50_000));
    expect(performance.now() - startedAt).toBeLessThan(1_000);
  });

  it('leave the rest of the line as it is', () => {
    const { log, last } = logged();
    const harmless = {
      jobId: 'token:key.secret-1',
      uri: 'gs://in/8841/key=7/front.jpg',
      error: { code: 'INPUT_NOT_FOUND', message: 'no object "a\\b" in gs://in; keys: 7, token 4' },
      text: 'C:\\new\\table "quoted" and \\" more',
    };
    log.info(harmless, 'the basic thing about bearers: none');
    expect(last()).toMatchObject({ ...harmless, message: 'the basic thing about bearers: none' });
    log.info({ url: SIGNED });
    expect(last().url).toContain('https://storage.googleapis.com/b/o.jpg?X-Goog-Algorithm=GOOG4-RSA-SHA256');
    expect(last().url).toContain('X-Goog-Date=20260101T000000Z');
  });
});
