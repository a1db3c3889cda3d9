/** A model repository: what a push asks of it, and the rules that hold wherever it is. */
import { isDeepStrictEqual } from 'node:util';
import { describe } from '../../adapters/triton/contracts.js';
import { readConfigText } from '../../adapters/triton/text-schema.js';
import { parsePrefix } from '../../domain/uri.js';
import { examineContract } from '../../domain/examine-contract.js';
import { UsageError } from '../usage.js';
import type { ModelFile } from './directory.js';
import { differing, type Manifest } from './manifest.js';
import type { FullConfig } from './rules.js';

/** One version of a model, ready to be put into a repository. */
export interface Parcel {
  readonly model: string;
  readonly version: string;
  /** The text of config.pbtxt. */
  readonly config: string;
  readonly files: readonly ModelFile[];
  /** Files beside the configuration. */
  readonly shared: readonly ModelFile[];
  readonly manifest: Manifest;
}

export interface StoredVersion {
  readonly version: string;
  /** Absent for a version that was put there by other means. */
  readonly manifest?: Manifest;
}

export type Outcome =
  | {
      readonly outcome: 'pushed' | 'already there';
      readonly configuration: 'new' | 'replaced' | 'as it was';
    }
  | { readonly outcome: 'refused'; readonly reason: string };

export interface Repository {
  /** The versions of a model that are there, by number. */
  versions(model: string): Promise<readonly StoredVersion[]>;
  /** Puts a version there, or says what would become of it. */
  push(parcel: Parcel, dryRun: boolean): Promise<Outcome>;
}

/** @throws UsageError */
export async function openRepository(place: string, emulator: string | undefined): Promise<Repository> {
  if (place.startsWith('gs://')) {
    const prefix = parsePrefix(place);
    if (typeof prefix === 'string') throw new UsageError(`--repository: ${prefix}, given ${place}`);
    const { openBucket } = await import('./bucket.js');
    return openBucket(prefix, emulator);
  }
  if (place.includes('://'))
    throw new UsageError(`--repository: expected a folder or gs://<bucket>/<prefix>, given ${place}`);
  const { openVolume } = await import('./volume.js');
  return openVolume(place);
}

export const refusal = (reason: string): Outcome => ({ outcome: 'refused', reason });

/** Why a version that is there must not be pushed again; undefined if it is the same. */
export function otherContents({ version, manifest }: Parcel, there: Readonly<Record<string, string>>, by?: Manifest) {
  const paths = differing(there, manifest.files);
  if (paths.length === 0) return undefined;
  const who = by === undefined ? '' : `, pushed by ${by.pushedBy} at ${by.pushedAt}`;
  return `version ${version} is there with other contents (${paths.join(', ')}${who}), and versions never change: expected another --version`;
}

/**
 * Why the configuration must not replace the one that is there: it changes what another version promises to the workers,
 * perhaps while that is served. Undefined if it may.
 * @param versions that are there
 */
export function changedPromise(
  stored: string,
  { model, config }: Parcel,
  versions: readonly string[],
): string | undefined {
  const [before, after] = [stored, config].map((text) => {
    const { config: read, faults } = readConfigText(text);
    const description = describe({ ...(read as unknown as FullConfig), name: model }, versions);
    return faults.length > 0 ? undefined : examineContract(description).contract;
  });
  if (!before) return undefined; // what cannot be used promises nothing
  for (const [version, promise] of before.versions) {
    const now = after?.versions.get(version);
    if (isDeepStrictEqual(promise, now)) continue;
    const keys = Object.keys(promise) as (keyof typeof promise)[];
    const changed = keys.filter((key) => !isDeepStrictEqual(promise[key], now?.[key]));
    return `config.pbtxt changes what version ${version} promises (${changed.join(', ')}): expected keys such as imagen.v<version>.margin for the new version alone`;
  }
  return undefined;
}

/** Whether a server that reads this configuration takes every version that it finds, or this one by name. */
export function shows(config: string, version: string): boolean {
  return versionsNamed(config)?.includes(version) ?? true;
}

/** The versions that a configuration names; undefined if it leaves the choice to the server. */
export const versionsNamed = (config: string): string[] | undefined =>
  (readConfigText(config).config as unknown as FullConfig).versionPolicy?.specific?.versions.map(String);

export const byNumber = (a: StoredVersion, b: StoredVersion): number => Number(a.version) - Number(b.version);
