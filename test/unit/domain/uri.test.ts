import { describe, expect, it } from 'vitest';
import { isPermitted, objectRef, parseObjectUri, parsePrefix, under } from '../../../src/domain/uri.js';

describe('parseObjectUri', () => {
  it('takes an address apart', () => {
    expect(parseObjectUri('gs://my-bucket/a/b c.jpg')).toEqual({ bucket: 'my-bucket', name: 'a/b c.jpg' });
  });

  it.each([
    'gs://',

    'gs://bucket/',
    's3://bucket/a',
    'gs://UPPER/a',
    'gs://bucket/../x',
    'gs://bucket/.well-known/acme-challenge/x',
    'gs://bucket/a\nb',
    `gs://bucket/${'é'.repeat(600)}`,
  ])('refuses %j with a sentence', (uri) => expect(parseObjectUri(uri)).toMatch(/^expected /));
});

describe('isPermitted', () => {
  const allowed = ['gs://in/8841', 'gs://open'];

  it.each([
    ['gs://in/8841/a.jpg', true],
    ['gs://in/88412/a.jpg', false],
    ['gs://in/8841', false],
    ['gs://open/anything', true],
    ['gs://open-too/anything', false],
  ])('%s: %s', (uri, answer) => expect(isPermitted(objectRef(uri), allowed)).toBe(answer));

  it('permits nothing when nothing is set', () => expect(isPermitted(objectRef('gs://in/a'), [])).toBe(false));
});

describe('prefixes', () => {
  it('may end with a slash or not', () => {
    expect(under('gs://out/a/', 'b')).toEqual(under('gs://out/a', 'b'));
    expect(under('gs://out', 'b')).toEqual({ bucket: 'out', name: 'b' });
  });

  it('are checked like objects', () => expect(parsePrefix('gs://out/../a')).toMatch(/^expected /));
});
