/**
 * A model repository in Cloud Storage, which Triton reads by itself. Objects cannot be moved together, so the configuration
 * decides which versions there are: it names them (`version_policy { specific … }`), and is replaced last, in one step.
 *
 * The manifest is created first, and only if there is none: the push that creates it decides what the version holds, as
 * with the record of a job. A push that was killed is continued by the next one of the same files.
 */
import { readFile } from 'node:fs/promises';
import { createReplacer, type ObjectReplacer } from '../../adapters/gcs/replace.js';
import { crc32c } from '../../adapters/gcs/crc32c.js';
import { createObjectStore } from '../../adapters/gcs/store.js';
import { pagesOf } from '../../domain/pages.js';
import type { ObjectStore } from '../../domain/ports.js';
import { type ObjectRef, objectUri } from '../../domain/uri.js';
import { CommandFailed } from '../usage.js';
import { CONFIG_FILE, MANIFEST_FILE, type ModelFile } from './directory.js';
import { differing, type Manifest, manifestText, parseManifest, sha256 } from './manifest.js';
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
  versionsNamed,
} from './push-rules.js';

const BINARY = 'application/octet-stream';
/** Longest configuration and manifest, in bytes. */
const MAX_TEXT_BYTES = 16 * 1024 ** 2;
/** Node reads a file up to here into memory. */
const MAX_FILE_BYTES = 2 ** 31 - 1;
/** A claim on a version that no configuration names is given up after this time, in milliseconds. */
const ABANDONED_MS = 3_600_000;

interface Text {
  readonly text: string;
  readonly generation: string;
}

/** @param prefix the bucket and the folder of the repository, checked before */
export function openBucket(
  { bucket, folder }: { readonly bucket: string; readonly folder: string },
  emulator: string | undefined,
): Repository {
  const at = (...parts: readonly string[]): ObjectRef => ({
    bucket,
    name: [...(folder === '' ? [] : [folder]), ...parts].join('/'),
  });
  const repository = new Bucket(createObjectStore({ emulator }), createReplacer(emulator), at);
  return {
    versions: (model) => repository.versions(model),
    push: (parcel, dryRun) => repository.push(parcel, dryRun),
  };
}

class Bucket {
  readonly #signal = new AbortController().signal; // each call has its own limit
  constructor(
    private readonly store: ObjectStore,
    private readonly replacer: ObjectReplacer,
    private readonly at: (...parts: readonly string[]) => ObjectRef,
  ) {}

  async versions(model: string): Promise<StoredVersion[]> {
    const folders = (await this.#list(this.at(model, ''))).folders.map((name) => name.split('/').at(-2) ?? '');
    const each = folders
      .filter((name) => /^[1-9]\d*$/.test(name))
      .map(async (version): Promise<StoredVersion> => {
        const manifest = await this.#manifest(model, version);
        return { version, ...(manifest ? { manifest: manifest.parsed } : {}) };
      });
    return (await Promise.all(each)).sort(byNumber);
  }

  async push(parcel: Parcel, dryRun: boolean): Promise<Outcome> {
    const { model, version, config, files, shared } = parcel;
    const large = [...files, ...shared].find(({ bytes }) => bytes > MAX_FILE_BYTES);
    if (large) return refusal(`${large.path} has ${large.bytes} bytes: expected at most ${MAX_FILE_BYTES}`);
    const stored = await this.#text(this.at(model, CONFIG_FILE));
    const claim = await this.#manifest(model, version);
    const isVisible = stored !== undefined && shows(stored.text, version);
    const others = (await this.versions(model)).map((one) => one.version);
    const isThere = isVisible && (claim !== undefined || others.includes(version));
    const isSame = stored?.text === config;
    const reason =
      (isThere
        ? await this.#otherContents(parcel, claim?.parsed)
        : this.#notPlaceable(parcel, isVisible, claim?.parsed)) ??
      (isSame ? undefined : this.#otherConfig(parcel, stored?.text, others)) ??
      (await this.#otherShared(parcel));
    if (reason !== undefined) return refusal(reason);
    const configuration = isSame ? 'as it was' : stored ? 'replaced' : 'new';
    const outcome: Outcome = { outcome: isThere ? 'already there' : 'pushed', configuration };
    if (dryRun) return outcome;
    if (!isThere) {
      const refused = await this.#place(parcel, claim);
      if (refused !== undefined) return refusal(refused);
    }
    for (const file of shared) await this.#upload(this.at(model, file.path), file);
    if (isSame) return outcome;
    const how = { generation: stored?.generation ?? '0', contentType: 'text/plain', signal: this.#signal };
    const replaced = await this.replacer.replace(this.at(model, CONFIG_FILE), Buffer.from(config), how);
    if (replaced) return outcome;
    // The answer was lost, or another push was faster.
    const now = await this.#text(this.at(model, CONFIG_FILE));
    return now?.text === config
      ? outcome
      : refusal(`${CONFIG_FILE} has been replaced by another push meanwhile: try again`);
  }

  /** Why the version cannot be put there without a server seeing a part of it. */
  #notPlaceable(
    { version, config, manifest }: Parcel,
    isVisible: boolean,
    claim: Manifest | undefined,
  ): string | undefined {
    if (!versionsNamed(config)) return needsNames(version);
    if (isVisible) {
      return `the existing ${CONFIG_FILE} lets servers load version ${version} before all its files have come: first push one that names the existing versions (docs/versions.md)`;
    }
    const differs = claim !== undefined && differing(claim.files, manifest.files).length > 0;
    if (!differs || isAbandoned(claim)) return undefined;
    return `version ${version} is being pushed by ${claim.pushedBy} since ${claim.pushedAt}, with other contents: expected another --version`;
  }

  /** @param others the versions that have a folder, perhaps without all their files */
  #otherConfig(parcel: Parcel, stored: string | undefined, others: readonly string[]): string | undefined {
    const known = stored === undefined ? [] : others.filter((one) => shows(stored, one));
    const named = versionsNamed(parcel.config);
    const isOpen = stored !== undefined && versionsNamed(stored) === undefined;
    const strangers = named?.filter((one) => one !== parcel.version && !known.includes(one)) ?? [];
    if (!named && !isOpen) return needsNames(parcel.version);
    if (strangers.length > 0) {
      return `version_policy: expected existing versions and ${parcel.version}, given ${strangers.join(', ')} too`;
    }
    return stored === undefined ? undefined : changedPromise(stored, parcel, known);
  }

  async #otherContents(parcel: Parcel, claim: Manifest | undefined): Promise<string | undefined> {
    if (claim) return otherContents(parcel, claim.files, claim);
    // The version was put there by other means, so compare the bytes.
    const { model, version } = parcel;
    for (const file of parcel.files) {
      const found = await this.store.stat(this.at(model, version, file.path), this.#signal);
      if (found?.crc32c !== crc32c(await readFile(file.place))) {
        return `version ${version} exists with other contents (${file.path}), and versions never change: expected another --version`;
      }
    }
    return undefined;
  }

  async #otherShared({ model, shared }: Parcel): Promise<string | undefined> {
    for (const { path, place, bytes } of shared) {
      const found = await this.store.read(this.at(model, path), { maxBytes: bytes, signal: this.#signal });
      if (found.kind === 'missing') continue;
      if (found.kind === 'found' && found.bytes.equals(await readFile(place))) continue;
      return `${path} exists with other contents, and all versions share it: expected it in the version's folder`;
    }
    return undefined;
  }

  /** @returns why it did not work */
  async #place({ model, version, files, manifest }: Parcel, claim: Claim | undefined): Promise<string | undefined> {
    const ref = this.at(model, version, MANIFEST_FILE);
    const how = { contentType: 'application/json', signal: this.#signal };
    if (!claim || differing(claim.parsed.files, manifest.files).length > 0) {
      const generation = claim?.generation ?? '0';
      const text = Buffer.from(manifestText(manifest));
      if (!(await this.replacer.replace(ref, text, { ...how, generation }))) {
        const now = await this.#manifest(model, version);
        const same = now !== undefined && differing(now.parsed.files, manifest.files).length === 0;
        if (!same)
          return `another push of version ${version} came first, by ${now?.parsed.pushedBy ?? 'somebody'}: expected another --version`;
      }
    }
    await this.#removeStrangers(model, version, files);
    for (const file of files) {
      await this.#upload(this.at(model, version, file.path), file, manifest.files[file.path]);
    }
    return undefined;
  }

  /** What a push that was given up has left in the folder, and this one does not have. */
  async #removeStrangers(model: string, version: string, files: readonly ModelFile[]): Promise<void> {
    const wanted = new Set(
      [MANIFEST_FILE, ...files.map(({ path }) => path)].map((path) => this.at(model, version, path).name),
    );
    for (const name of await this.#namesBelow(this.at(model, version, ''))) {
      if (wanted.has(name)) continue;
      const ref = { ...this.at(), name };
      const found = await this.store.stat(ref, this.#signal);
      if (found) await this.replacer.remove(ref, { generation: found.generation, signal: this.#signal });
    }
  }

  /**
   * @param sum the file's SHA-256 in the manifest
   * @throws CommandFailed if somebody else writes the same object, or the file has changed since its checksum was taken
   */
  async #upload(ref: ObjectRef, file: ModelFile, sum?: string): Promise<void> {
    const bytes = await readFile(file.place);
    if (sum !== undefined && sha256(bytes) !== sum) {
      throw new CommandFailed(`${file.path} has changed during the push: try again`);
    }
    const how = { contentType: BINARY, signal: this.#signal };
    const created = await this.store.create(ref, bytes, how);
    if (created.kind === 'created' || created.sameBytes) return;
    const { generation } = created.info;
    if (await this.replacer.replace(ref, bytes, { ...how, generation })) return;
    throw new CommandFailed(`${objectUri(ref)} is being written by another push: try again`);
  }

  async #manifest(model: string, version: string): Promise<Claim | undefined> {
    const found = await this.#text(this.at(model, version, MANIFEST_FILE));
    const parsed = found && parseManifest(found.text);
    return parsed ? { parsed, generation: found.generation } : undefined;
  }

  async #text(ref: ObjectRef): Promise<Text | undefined> {
    const found = await this.store.read(ref, { maxBytes: MAX_TEXT_BYTES, signal: this.#signal });
    if (found.kind === 'missing') return undefined;
    if (found.kind === 'found') return { text: found.bytes.toString(), generation: found.generation };
    throw new CommandFailed(`${objectUri(ref)}: expected a text, found ${found.kind}`);
  }

  async #namesBelow(prefix: ObjectRef): Promise<string[]> {
    const { names, folders } = await this.#list(prefix);
    for (const name of folders) names.push(...(await this.#namesBelow({ ...prefix, name })));
    return names;
  }

  async #list(prefix: ObjectRef): Promise<{ readonly names: string[]; readonly folders: string[] }> {
    const [names, folders] = [new Array<string>(), new Set<string>()];
    for await (const page of pagesOf(this.store, prefix, undefined, this.#signal)) {
      names.push(...page.objects.map(({ name }) => name));
      for (const name of page.folders) folders.add(name);
    }
    return { names, folders: [...folders] };
  }
}

interface Claim {
  readonly parsed: Manifest;
  readonly generation: string;
}

const isAbandoned = ({ pushedAt }: Manifest): boolean => Date.now() - Date.parse(pushedAt) > ABANDONED_MS;

const needsNames = (version: string): string =>
  `version_policy: expected specific { versions: [ … ] } with ${version}, because Cloud Storage has no rename: with another policy a server loads a version of which only some files have come (docs/versions.md)`;
