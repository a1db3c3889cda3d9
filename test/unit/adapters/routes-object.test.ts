/** The requests for routes in Cloud Storage, which a stand-in answers as the service does. */
import { describe, expect, it } from 'vitest';
import { crc32c } from '../../../src/adapters/gcs/crc32c.js';
import { openRoutesObject } from '../../../src/adapters/gcs/routes-object.js';
import { type StandInAnswer, standInForStorage } from '../../support/storage-stand-in.js';

const signal = new AbortController().signal;
const PATH = '/storage/v1/b/config/o/a%2Froutes.json';
const UPLOAD = 'POST /upload/storage/v1/b/config/o?uploadType=multipart&ifGenerationMatch=';

let answer: (request: string) => StandInAnswer;
let asked: string[] = [];
const address = standInForStorage((request) => {
  const line = `${request.method} ${request.url}`;
  asked.push(line);
  return answer(line);
});
const open = () => {
  asked = [];
  return openRoutesObject('gs://config/a/routes.json', 100, { emulator: address() });
};

const document = (text: string, generation: string): StandInAnswer => {
  const bytes = Buffer.from(text);
  return [200, bytes, { 'x-goog-generation': generation, 'x-goog-hash': `crc32c=${crc32c(bytes)}` }];
};
const written = (generation: string): StandInAnswer => [200, { generation, size: '1' }];
const refusal = (code: number, message: string): StandInAnswer => [code, { error: { code, message } }];

describe('a read of the routes', () => {
  it('asks for another generation than the known one, and takes 304 for unchanged', async () => {
    const routes = open();
    answer = () => document('{}', '7');
    expect(await routes.read(signal)).toEqual({ kind: 'found', text: '{}', generation: '7' });
    answer = () => [304, Buffer.alloc(0)];
    expect(await routes.read(signal, '7')).toEqual({ kind: 'unchanged' });
    expect(asked).toEqual([`GET ${PATH}?alt=media`, `GET ${PATH}?alt=media&ifGenerationNotMatch=7`]);
  });

  it('compares generations where the service sends the object again, as emulators do', async () => {
    answer = () => document('{}', '7');
    expect(await open().read(signal, '7')).toEqual({ kind: 'unchanged' });
    answer = () => document('{"a":1}', '8');
    expect(await open().read(signal, '7')).toEqual({ kind: 'found', text: '{"a":1}', generation: '8' });
  });

  it('tells a missing object, one that is too large, and a service that fails', async () => {
    answer = () => refusal(404, 'No such object: config/a/routes.json');
    expect(await open().read(signal, '7')).toEqual({ kind: 'missing' });
    answer = () => document('x'.repeat(101), '8');
    expect(await open().read(signal, '7')).toEqual({
      kind: 'unusable',
      reason: 'expected at most 100 bytes, found 101',
    });
    answer = () => refusal(503, 'busy');
    await expect(open().read(signal, '7')).rejects.toMatchObject({ code: 'STORAGE_UNAVAILABLE' });
  });
});

describe('a write of the routes', () => {
  const former = { text: '{}', generation: '7' };

  it('keeps the former document, and then replaces what it has read', async () => {
    answer = (line) => written(line.includes('Match=0&') ? '8' : '9');
    expect(await open().write('{"a":1}', former, signal)).toEqual({ kind: 'written', generation: '9' });
    expect(asked.map((line) => line.replace(/&fields.*/, ''))).toEqual([`${UPLOAD}0`, `${UPLOAD}7`]);
  });

  it('goes on where another writer has kept it', async () => {
    answer = (line) => {
      if (line.startsWith('GET')) return written('8');
      return line.includes('Match=0&') ? refusal(412, 'conditionNotMet') : written('9');
    };
    expect(await open().write('{"a":1}', former, signal)).toMatchObject({ kind: 'written' });
  });

  it('says that the document has changed', async () => {
    answer = (line) => (line.includes('Match=0&') ? written('8') : refusal(412, 'conditionNotMet'));
    expect(await open().write('{"a":1}', former, signal)).toEqual({ kind: 'changed' });
  });

  it('names the right that is missing', async () => {
    answer = (line) => (line.includes('Match=0&') ? written('8') : refusal(403, 'needs storage.objects.delete'));
    await expect(open().write('{"a":1}', former, signal)).rejects.toThrow(/403: needs storage.objects.delete/);
  });
});

it('lists former documents with the greatest generation first, without the current one', async () => {
  const names = ['9', '10', '100', 'note'].map((name) => ({ name: `a/routes.json.history/${name}.json` }));
  answer = () => [200, { items: names }];
  expect(await open().history('100', signal)).toEqual(['10', '9']);
});
