/** Reads a model's directory: `<model>/config.pbtxt` and `<model>/<version>/…`, as Triton wants it. */
import { createHash } from 'node:crypto';
import { createReadStream, type Dirent } from 'node:fs';
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { UsageError } from '../usage.js';

export const CONFIG_FILE = 'config.pbtxt';
/** Who pushed a version and what: in the version's own folder, so that the two come and go together. */
export const MANIFEST_FILE = 'imagen-manifest.json';

export interface ModelFile {
  /** Below the version's folder, or the model's, with `/`. */
  readonly path: string;
  readonly place: string;
  readonly bytes: number;
}

export interface ModelDirectory {
  readonly folder: string;
  /** The folder's own name. */
  readonly model: string;
  /** Undefined if there is no file. */
  readonly config: string | undefined;
  /** Files of each version, in the order of their paths, without manifests, hidden files and Python's caches. */
  readonly versions: ReadonlyMap<string, readonly ModelFile[]>;
  /** Files that all versions share, beside the configuration. */
  readonly shared: readonly ModelFile[];
  /** Folders that look like versions and are none. */
  readonly strangers: readonly string[];
  /** Neither files nor folders, such as sockets, links to nothing, and links to a folder above; below the model's folder. */
  readonly unreadable: readonly string[];
}

/** Triton reads a number of 64 bits. */
const VERSION = /^[1-9]\d{0,17}$/;

/** @throws UsageError if there is no such folder */
export async function readModelDirectory(path: string): Promise<ModelDirectory> {
  const folder = resolve(path);
  const found = await stat(folder).catch(() => undefined);
  if (!found?.isDirectory()) throw new UsageError(`${path}: expected the folder of a model, with a ${CONFIG_FILE}`);
  const config = await readFile(join(folder, CONFIG_FILE), 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new UsageError(`${join(path, CONFIG_FILE)}: expected a file that can be read: ${(error as Error).message}`);
  });
  const versions = new Map<string, ModelFile[]>();
  const shared: ModelFile[] = [];
  const strangers: string[] = [];
  const unreadable: string[] = [];
  for (const entry of await entriesOf(folder)) {
    const place = join(folder, entry.name);
    if (entry.name === CONFIG_FILE) continue;
    if (await leadsBack(place)) unreadable.push(place);
    else if (await isFolder(place)) {
      if (VERSION.test(entry.name)) versions.set(entry.name, await filesIn(place, '', unreadable));
      else if (/^[-+]?\d/.test(entry.name)) strangers.push(entry.name);
      else for (const file of await filesIn(place, `${entry.name}/`, unreadable)) shared.push(file);
    } else await addFile(shared, place, entry.name, unreadable);
  }
  const sorted = [...versions].sort(([a], [b]) => Number(a) - Number(b));
  const below = unreadable.map((place) => relative(folder, place));
  return { folder, model: basename(folder), config, versions: new Map(sorted), shared, strangers, unreadable: below };
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const wanted = entries.filter(
    ({ name }) => !name.startsWith('.') && name !== '__pycache__' && name !== MANIFEST_FILE,
  );
  return wanted.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Whether the path is a link to a folder that it lies in, which has no end. */
async function leadsBack(place: string): Promise<boolean> {
  const [own, above] = await Promise.all([realpath(place).catch(() => undefined), realpath(dirname(place))]);
  return own !== undefined && `${above}/`.startsWith(own === '/' ? own : `${own}/`);
}

const isFolder = async (place: string): Promise<boolean> =>
  (await stat(place).catch(() => undefined))?.isDirectory() ?? false;

async function filesIn(folder: string, prefix: string, unreadable: string[]): Promise<ModelFile[]> {
  const files: ModelFile[] = [];
  for (const { name } of await entriesOf(folder)) {
    const place = join(folder, name);
    if (await leadsBack(place)) unreadable.push(place);
    else if (await isFolder(place)) files.push(...(await filesIn(place, `${prefix}${name}/`, unreadable)));
    else await addFile(files, place, `${prefix}${name}`, unreadable);
  }
  return files;
}

async function addFile(files: ModelFile[], place: string, path: string, unreadable: string[]): Promise<void> {
  const found = await stat(place).catch(() => undefined);
  if (found?.isFile()) files.push({ path, place, bytes: found.size });
  else unreadable.push(place);
}

/** SHA-256 of a file, in hexadecimal digits. */
export async function sha256Of(place: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(place), hash);
  return hash.digest('hex');
}
