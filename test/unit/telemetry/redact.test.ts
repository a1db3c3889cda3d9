import { describe, expect, it } from 'vitest';
import { seeded } from '../../../scripts/lab/random.js';
import { redact, redactUnchecked } from '../../../src/telemetry/redact.js';

const NAMES = [
  ...['x-goog-signature', 'X-Amz-Credential', 'x-amz-security-token', 'X-Goog-Api-Key', 'access_token', 'idToken'],
  ...['auth-token', 'session_token', 'refreshtoken', 'client_secret', 'apiKey', 'client-key', 'private_key_id'],
  ...[
    'privateKey',
    'AWSAccessKeyId',
    'secret_access_key',
    'authorization',
    'Proxy-Authorization',
    'cookie',
    'set-cookie',
  ],
  ...['password', 'db_PASSWD', 'PassPhrase', 'userSecret', 'key', 'token', 'sig', 'signature', 'pwd'],
];
const V = 'abc0123456789';
/** All ways in which a rule knows a name, as they stand in a line of JSON. */
const SHAPES: readonly ((name: string) => string)[] = [
  ...[
    `"NAME":"${V}"`,
    `"NAME" : -1.5e3`,
    `"NAME":["${V}"]`,
    `\\"NAME\\": \\"${V}\\"`,
    `\\\\\\"NAME\\\\\\":\\\\\\"${V}`,
  ],
  ...[
    `\\"NAME\\":7`,
    `\\"NAME\\":[\\"${V}`,
    `NAME: [ '${V}' ]`,
    `'NAME': '${V}'`,
    `NAME: ${V}`,
    `NAME : \\"${V}\\"`,
    `NAME\u00a0: ${V}`,
  ],
  ...[`NAME=${V}`, `NAME=\\"${V}\\"`, `NAME%3D${V}`, `%253DNAME%25253D${V}`, `?NAME=${V}&`, `%2526NAME%253D${V}`],
].map((shape) => (name) => shape.replace('NAME', name));
const LONE = [
  ...[`Bearer ${V}`, `bearer%20${V}`, `Bearer+${V}`, `authorization', 'Basic ${V}`, `authorization, basic ${V}`],
  ...[`Digest username=\\"${V}\\", response=\\"${V}\\"`, `digest nonce=${V}`, `Authorization:Hmac a=${V}`],
  ...[`-----BEGIN PRIVATE KEY-----\\n${V}`, `-----BEGIN RSA PRIVATE KEY-----\\n${V}-----END RSA PRIVATE KEY-----`],
  ...[`AIza${V.repeat(3)}`, `ya29.${V}`, `eyJ${V}.${V}.${V}`, 'AKIA0123456789ABCDEF', `gs://a:${V}@h/`, `://:@@`],
];
const SECRETS = [...NAMES.flatMap((name) => SHAPES.map((shape) => shape(name))), ...LONE];

/** The rules see nothing in it, and neither does the look beforehand. */
const HARMLESS = '{"message":"a 7 b=c: \\"d\\" %20 gs://h/e.jpg","n":[1]}\n';

describe('the look that spares most lines the rules', () => {
  it('misses no secret, at whatever place of a line it stands', () => {
    expect(redactUnchecked(HARMLESS)).toBe(HARMLESS);
    let known = 0;
    for (const secret of SECRETS) {
      let changed = 0;
      for (let at = 0; at <= HARMLESS.length; at++) {
        const line = HARMLESS.slice(0, at) + secret + HARMLESS.slice(at);
        const unchecked = redactUnchecked(line);
        if (unchecked !== line) changed += 1;
        if (redact(line) !== unchecked) expect(redact(line), line).toBe(unchecked);
      }
      if (changed > 0) known += 1;
    }
    // The common words are secrets only in some of the shapes.
    expect(known).toBeGreaterThan(0.8 * SECRETS.length);
  });

  it('misses none in texts of pieces of secrets', () => {
    const random = seeded(1);
    const pick = <T>(from: readonly T[]) => from[Math.floor(random() * from.length)] as T;
    const pieces = [
      ...SECRETS,
      ...NAMES,
      ...['"', '\\"', "'", ':', '=', ' ', '%3D', '%', '&', ',', '[', V, '7', '\n', '\u00a0'],
    ];
    let changed = 0;
    for (let i = 0; i < 20_000; i++) {
      let line = '';
      for (let n = 0; n < 4; n++) {
        const piece = pick(pieces);
        line += random() < 0.5 ? piece : piece.slice(0, Math.ceil(random() * piece.length));
      }
      const unchecked = redactUnchecked(line);
      if (unchecked !== line) changed += 1;
      if (redact(line) !== unchecked) expect(redact(line), line).toBe(unchecked);
    }
    expect(changed).toBeGreaterThan(5_000);
  });
});
