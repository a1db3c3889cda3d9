import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openRoutesFile } from '../../../src/adapters/files/routes-file.js';
import type { RoutesText } from '../../../src/domain/ports.js';

const signal = new AbortController().signal;
let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imagen-routes-'));
  path = join(folder, 'routes.json');
});
afterEach(() => rm(folder, { recursive: true }));

const open = () => openRoutesFile(path, 100);
async function found(): Promise<RoutesText> {
  const read = await open().read(signal);
  if (read.kind !== 'found') throw new Error(read.kind);
  return read;
}

it('reads the file, and says when it has not changed, is missing or too large', async () => {
  expect(await open().read(signal)).toEqual({ kind: 'missing' });
  await writeFile(path, 'one');
  const { text, generation } = await found();
  expect(text).toBe('one');
  await writeFile(path, 'one'); // touched
  expect(await open().read(signal, generation)).toEqual({ kind: 'unchanged' });
  await writeFile(path, 'two');
  expect(await open().read(signal, generation)).toMatchObject({ kind: 'found', text: 'two' });
  await writeFile(path, 'x'.repeat(101));
  expect(await open().read(signal)).toEqual({ kind: 'unusable', reason: 'expected at most 100 bytes, found 101' });
  expect(await openRoutesFile(folder, 1e6).read(signal)).toMatchObject({ kind: 'unusable' });
});

it('keeps each former document, the newest first', async () => {
  expect(await open().write('one', undefined, signal)).toMatchObject({ kind: 'written' });
  for (const text of ['two', 'one', 'three']) {
    expect(await open().write(text, await found(), signal)).toMatchObject({ kind: 'written' });
  }
  const ids = await open().history((await found()).generation, signal);
  expect(ids.map((id) => id.slice(0, 6))).toEqual(['000003', '000002', '000001']);
  expect(await Promise.all(ids.map((id) => open().former(id, signal)))).toEqual(['one', 'two', 'one']);
  expect(await open().former('../routes', signal)).toBeUndefined();
  expect((await readdir(folder)).sort()).toEqual(['routes.json', 'routes.json.history']);
});

it('writes nothing over a document that it has not read', async () => {
  await writeFile(path, 'one');
  const former = await found();
  await writeFile(path, 'two');
  expect(await open().write('three', former, signal)).toEqual({ kind: 'changed' });
  expect(await open().write('three', undefined, signal)).toEqual({ kind: 'changed' });
  expect(await readFile(path, 'utf8')).toBe('two');
  expect(await open().history(undefined, signal)).toEqual([]);
});

it('lets exactly one of many writers win', async () => {
  await writeFile(path, 'one');
  const former = await found();
  const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => open().write(`by ${i}`, former, signal)));
  expect(answers.filter(({ kind }) => kind === 'written')).toHaveLength(1);
  expect(await open().history(undefined, signal)).toHaveLength(1);
});

/** A writer looks at a lock every 20 ms. */
const FIVE_ATTEMPTS_MS = 100;

it('takes the lock of a process that has ended, and waits for one that lives', async () => {
  const ended = spawn(process.execPath, ['-e', '']);
  await once(ended, 'exit');
  const lockOf = (pid?: number) => JSON.stringify({ id: 'other', host: hostname(), pid, by: 'another writer' });
  await writeFile(`${path}.lock`, lockOf(ended.pid));
  expect(await open().write('one', undefined, signal)).toMatchObject({ kind: 'written' });

  await writeFile(`${path}.lock`, lockOf(process.pid));
  let done = false;
  const waiting = open()
    .write('two', await found(), signal)
    .finally(() => (done = true));
  await sleep(FIVE_ATTEMPTS_MS);
  expect(done).toBe(false);
  await rm(`${path}.lock`);
  expect(await waiting).toMatchObject({ kind: 'written' });
});

it('replaces the file that a link names, with its rights', async () => {
  const real = join(folder, 'real.json');
  await writeFile(real, 'one', { mode: 0o600 });
  await symlink('real.json', path);
  await open().write('two', await found(), signal);
  expect(await readFile(real, 'utf8')).toBe('two');
  expect((await stat(real)).mode & 0o777).toBe(0o600);
});
