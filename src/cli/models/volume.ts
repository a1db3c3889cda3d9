/**
 * A model repository in a folder, such as a volume that Triton mounts. Files are copied into `.imagen-push`, a folder on the
 * same file system, brought to the disk, and then moved to their place by renames, each of which is one step for a server.
 */
import { createReadStream } from 'node:fs';
import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { type Lock, takeLock } from '../../adapters/files/lock.js';
import { makeFolder } from '../../adapters/files/make-folder.js';
import { writeDurably } from '../../adapters/files/write.js';
import { UsageError } from '../usage.js';
import {
  CONFIG_FILE,
  MANIFEST_FILE,
  type ModelDirectory,
  type ModelFile,
  readModelDirectory,
  sha256Of,
} from './directory.js';
import { differing, type Manifest, manifestText, parseManifest } from './manifest.js';
import {
  byNumber,
  changedPromise,
  otherContents,
  type Outcome,
  type Parcel,
  refusal,
  type Repository,
  shows,
  type StoredVersion,
} from './push-rules.js';

/** Triton takes folders of the repository for models and this one for a model without versions, which it never loads. */
const STAGING = '.imagen-push';
const LOST = 'another push has taken the lock of this one, which was stopped for a minute: try again';

/** @throws UsageError if there is no such folder */
export async function openVolume(path: string): Promise<Repository> {
  const root = resolve(path);
  const found = await stat(root).catch(() => undefined);
  if (!found?.isDirectory()) throw new UsageError(`--repository: expected a folder that exists, given ${path}`);
  return {
    versions: (model) => storedVersions(root, model),
    push: (parcel, dryRun) => (dryRun ? planned(root, parcel) : pushLocked(root, parcel)),
  };
}

async function storedVersions(root: string, model: string): Promise<StoredVersion[]> {
  const directory = await readStored(root, model);
  if (!directory) return [];
  const each = [...directory.versions.keys()].map(async (version): Promise<StoredVersion> => {
    const manifest = await readManifest(join(directory.folder, version));
    return { version, ...(manifest ? { manifest } : {}) };
  });
  return (await Promise.all(each)).sort(byNumber);
}

async function readStored(root: string, model: string): Promise<ModelDirectory | undefined> {
  const folder = join(root, model);
  return (await stat(folder).catch(() => undefined))?.isDirectory() ? readModelDirectory(folder) : undefined;
}

async function readManifest(folder: string): Promise<Manifest | undefined> {
  const text = await readFile(join(folder, MANIFEST_FILE), 'utf8').catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  });
  return parseManifest(text);
}

/** What a push has to do. */
interface Plan {
  readonly outcome: Outcome;
  readonly isNewModel: boolean;
  readonly placesVersion: boolean;
  readonly shared: readonly ModelFile[];
  /** Whether the configuration has to be there before the version: a server takes any version that it finds. */
  readonly configFirst: boolean;
}

async function planned(root: string, parcel: Parcel): Promise<Outcome> {
  return (await plan(root, parcel)).outcome;
}

async function plan(root: string, parcel: Parcel): Promise<Plan> {
  const stored = await readStored(root, parcel.model);
  const nothing = { isNewModel: false, placesVersion: false, shared: [], configFirst: false };
  if (!stored) {
    return { ...nothing, outcome: { outcome: 'pushed', configuration: 'new' }, isNewModel: true, placesVersion: true };
  }
  const there = stored.versions.get(parcel.version);
  const { config } = stored;
  const reason = await obstacle(stored, parcel);
  if (reason !== undefined) return { ...nothing, outcome: refusal(reason) };
  const missing = parcel.shared.filter(({ path }) => !stored.shared.some((file) => file.path === path));
  const configuration = config === parcel.config ? 'as it was' : config === undefined ? 'new' : 'replaced';
  return {
    outcome: { outcome: there ? 'already there' : 'pushed', configuration },
    isNewModel: false,
    placesVersion: !there,
    shared: missing,
    configFirst: config !== undefined && shows(config, parcel.version),
  };
}

/** Why the parcel does not go beside what is there; undefined if it does. */
async function obstacle(stored: ModelDirectory, parcel: Parcel): Promise<string | undefined> {
  const { config } = stored;
  const there = stored.versions.get(parcel.version);
  const manifest = there && (await readManifest(join(stored.folder, parcel.version)));
  const differs = there && otherContents(parcel, await sumsOf(there), manifest);
  if (differs !== undefined) return differs;
  for (const file of parcel.shared) {
    const same = stored.shared.find(({ path }) => path === file.path);
    if (same && (await sha256Of(same.place)) !== (await sha256Of(file.place))) {
      return `${file.path} exists with other contents, and all versions share it: expected it in the version's folder`;
    }
  }
  if (config === undefined || config === parcel.config) return undefined;
  // A version that the configuration does not name yet, left by a push that was killed, promises nothing.
  const promised = [...stored.versions.keys()].filter((version) => shows(config, version));
  return changedPromise(config, parcel, promised);
}

const sumsOf = (files: readonly ModelFile[]) => sumsAt(files.map(({ path, place }) => [path, place]));

/** Checksums of the copies: a file may still be written by a training while it is pushed. */
const sumsIn = (folder: string, files: readonly ModelFile[]) =>
  sumsAt(files.map(({ path }) => [path, join(folder, path)]));

async function sumsAt(places: readonly (readonly [path: string, place: string])[]): Promise<Record<string, string>> {
  const sums: Record<string, string> = {};
  for (const [path, place] of places) sums[path] = await sha256Of(place);
  return sums;
}

async function pushLocked(root: string, parcel: Parcel): Promise<Outcome> {
  const staging = join(root, STAGING);
  makeFolder(resolve(staging));
  const lock = await takeLock(join(staging, `${parcel.model}.lock`), parcel.manifest.pushedBy);
  if ('holder' in lock) {
    return refusal(
      `another push of ${parcel.model} is under way, by ${lock.holder}: try again when it has ended, or, if it was killed, in a minute`,
    );
  }
  const folder = join(staging, parcel.model);
  try {
    await rm(folder, { recursive: true, force: true }); // of a push that was killed: the lock says that it is dead
    const todo = await plan(root, parcel);
    if (todo.outcome.outcome === 'refused') return todo.outcome;
    return await place(root, folder, parcel, todo, lock);
  } finally {
    await rm(folder, { recursive: true, force: true });
    await lock.release();
  }
}

async function place(root: string, staged: string, parcel: Parcel, todo: Plan, lock: Lock): Promise<Outcome> {
  const { model, version, config, files, manifest } = parcel;
  const { outcome } = todo;
  if (todo.placesVersion) {
    const folder = join(staged, version);
    for (const file of files) await putFile(join(folder, file.path), createReadStream(file.place));
    const changed = differing(await sumsIn(folder, files), manifest.files);
    if (changed.length > 0) return refusal(`${changed.join(', ')} has changed during the push: try again`);
    await putFile(join(folder, MANIFEST_FILE), manifestText(manifest));
  }
  for (const file of todo.isNewModel ? parcel.shared : todo.shared)
    await putFile(join(staged, file.path), createReadStream(file.place));
  const placesConfig = outcome.outcome !== 'refused' && outcome.configuration !== 'as it was';
  if (placesConfig) await putFile(join(staged, CONFIG_FILE), config);
  if (await exists(staged)) await syncFolders(staged);
  if (!(await lock.held())) return refusal(LOST);
  if (todo.isNewModel) return (await moved(staged, join(root, model))) ? outcome : refusal(arrived(model));
  const target = join(root, model);
  for (const { path } of todo.shared) {
    makeFolder(resolve(dirname(join(target, path))));
    await rename(join(staged, path), join(target, path));
  }
  const putConfig = async () => {
    if (placesConfig) await rename(join(staged, CONFIG_FILE), join(target, CONFIG_FILE));
  };
  if (todo.configFirst) await putConfig();
  if (todo.placesVersion && !(await moved(join(staged, version), join(target, version)))) {
    return refusal(arrived(`version ${version}`));
  }
  if (!todo.configFirst) await putConfig();
  await syncFolder(target);
  return outcome;
}

const arrived = (what: string): string => `${what} has come into the repository meanwhile: try again`;

/** Renames a file or folder. Readers see the old state or the new one. @returns false if something is there */
async function moved(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    await syncFolder(dirname(to));
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    throw error;
  }
}

const exists = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined)) !== undefined;

async function putFile(to: string, content: string | Readable): Promise<void> {
  makeFolder(resolve(dirname(to)));
  await writeDurably(to, content);
}

async function syncFolders(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await syncFolders(join(folder, entry.name));
  }
  await syncFolder(folder);
}

/** A folder's entries are on the disk only then. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
