/** The routes as a local file. */
import { createHash } from 'node:crypto';
import { link, mkdir, readdir, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { RoutesRead, RoutesStore, RoutesText } from '../../domain/ports.js';
import { withLock } from './lock.js';
import { writeDurably } from './write.js';

/** Number of hex digits of a hash that stand for a text. */
const HASH_DIGITS = 16;
const ENTRY = /^(\d+)-([0-9a-f]+)\.json$/;

/**
 * The history of a file lies beside it, as `<name>.history/<number>-<hash>.json`. The generation of the file is a hash of its
 * text: Kubernetes replaces a mounted file by a symbolic link, and copies keep their times.
 * @param maxBytes size limit of the document
 */
export function openRoutesFile(path: string, maxBytes: number): RoutesStore {
  const history = async () => `${await target(path)}.history`;
  return {
    place: path,
    async read(_signal, known): Promise<RoutesRead> {
      const found = await readText(path, maxBytes);
      return found.kind === 'found' && found.generation === known ? { kind: 'unchanged' } : found;
    },
    async write(text, former) {
      const file = await target(path);
      return withLock(`${file}.lock`, async () => {
        const found = await readText(file, maxBytes);
        const current = found.kind === 'found' ? found.generation : undefined;
        if (current !== former?.generation) return { kind: 'changed' };
        if (former) await keep(await history(), former);
        await replaceFile(file, text);
        return { kind: 'written', generation: hashOf(text) };
      });
    },
    async history(current) {
      const entries = (await entriesIn(await history())).reverse();
      // A writer kept this version and was killed before it wrote the document.
      const [newest, ...others] = entries;
      return (newest?.hash === current ? others : entries).map(({ id }) => id);
    },
    async former(id) {
      const name = `${id}.json`;
      if (!ENTRY.test(name)) return undefined;
      const found = await readText(join(await history(), name), maxBytes);
      return found.kind === 'found' ? found.text : undefined;
    },
  };
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, HASH_DIGITS);

/** The file itself, if the path is a symbolic link, which stays one. */
async function target(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    return path; // it is missing, or its error comes with the next use
  }
}

async function readText(path: string, maxBytes: number): Promise<Exclude<RoutesRead, { kind: 'unchanged' }>> {
  try {
    const { size } = await stat(path);
    if (size > maxBytes) return { kind: 'unusable', reason: `expected at most ${maxBytes} bytes, found ${size}` };
    const text = await readFile(path, 'utf8');
    return { kind: 'found', text, generation: hashOf(text) };
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return { kind: 'missing' };
    return { kind: 'unusable', reason: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

async function entriesIn(folder: string) {
  const names = await readdir(folder).catch((thrown: unknown) => {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw thrown;
  });
  return names
    .flatMap((name) => {
      const [, number, hash] = ENTRY.exec(name) ?? [];
      return number === undefined || hash === undefined
        ? []
        : [{ id: `${number}-${hash}`, number: Number(number), hash }];
    })
    .sort((a, b) => a.number - b.number);
}

/** A link appears with the whole text, or not at all. */
async function keep(folder: string, { text, generation }: RoutesText): Promise<void> {
  await mkdir(folder, { recursive: true });
  const newest = (await entriesIn(folder)).at(-1);
  if (newest?.hash === generation) return; // by a writer that was killed before it wrote
  const number = String((newest?.number ?? 0) + 1).padStart(6, '0');
  const draft = join(folder, '.draft');
  await writeDraft(draft, text);
  await link(draft, join(folder, `${number}-${generation}.json`));
  await rm(draft);
}

async function replaceFile(file: string, text: string): Promise<void> {
  const draft = `${file}.draft`;
  const mode = await stat(file).then(
    (found) => found.mode & 0o777,
    () => 0o644,
  );
  await writeDraft(draft, text, mode);
  await rename(draft, file);
}

/** A draft that a killed writer has left is in the way. */
async function writeDraft(path: string, text: string, mode = 0o644): Promise<void> {
  await rm(path, { force: true });
  await writeDurably(path, text, mode);
}
