/** A model repository: what a push asks of it, and the rules that hold wherever it is. */
import { isDeepStrictEqual } from 'node:util';
import { describe } from '../../adapters/triton/contracts.js';
import { readConfigText } from '../../adapters/triton/text-schema.js';
import { examineContract } from '../../domain/examine-contract.js';
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

export const refusal = (reason: string): Outcome => ({ outcome: 'refused', reason });

/** Why a version that is there must not be pushed again; undefined if it is the same. */
export function otherContents({ version, manifest }: Parcel, there: Readonly<Record<string, string>>, by?: Manifest) {
  const paths = differing(there, manifest.files);
  if (paths.length === 0) return undefined;
  const who = by === undefined ? '' : `, pushed by ${by.pushedBy} at ${by.pushedAt}`;
  return `version ${version} exists with other contents (${paths.join(', ')}${who}), and versions never change: expected another --version`;
}

/**
 * Why the configuration must not replace the one that is there: it changes what another version promises to the workers,
 * or how a server runs it, or takes it out of service, perhaps while it is served. Undefined if it may.
 * @param versions that are there
 */
export function changedPromise(
  stored: string,
  { model, version: pushed, config }: Parcel,
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
  const others = versions.filter((version) => version !== pushed);
  if (others.length === 0) return undefined;
  const fields = [
    ...(before.output === after?.output ? [] : ['output']),
    ...(before.takesOrigin && !after?.takesOrigin ? ['input origin'] : []),
    ...changedRunners(stored, config),
  ];
  if (fields.length > 0) {
    return `config.pbtxt changes ${fields.join(', ')}, which version ${others.join(', ')} shares: expected it unchanged, or a model of another name`;
  }
  const all = [...others, pushed];
  const left = servedBy(stored, all).filter((one) => one !== pushed && !servedBy(config, all).includes(one));
  if (left.length === 0) return undefined;
  return `config.pbtxt takes version ${left.join(', ')} out of service: expected a version_policy with it, or its folder removed before`;
}

/** The changed fields among those that decide which program runs a version and which file it loads. */
function changedRunners(stored: string, config: string): string[] {
  const [before, after] = [stored, config].map((text) => readConfigText(text).config as unknown as FullConfig);
  const same = (field: 'backend' | 'platform' | 'defaultModelFilename') => before?.[field] === after?.[field];
  return [
    ...(same('backend') && same('platform') ? [] : ['backend']),
    ...(same('defaultModelFilename') ? [] : ['default_model_filename']),
  ];
}

/** The versions that a server with this configuration serves. Triton takes the newest alone if it has no policy. */
function servedBy(config: string, versions: readonly string[]): string[] {
  const { versionPolicy } = readConfigText(config).config as unknown as FullConfig;
  if (versionPolicy?.all) return [...versions];
  if (versionPolicy?.specific) return versions.filter((version) => shows(config, version));
  const newestFirst = [...versions].sort((a, b) => Number(b) - Number(a));
  return newestFirst.slice(0, versionPolicy?.latest?.numVersions ?? 1);
}

/** Whether a server that reads this configuration takes every version that it finds, or this one by name. */
export function shows(config: string, version: string): boolean {
  return versionsNamed(config)?.includes(version) ?? true;
}

/** The versions that a configuration names; undefined if it leaves the choice to the server. */
export const versionsNamed = (config: string): string[] | undefined =>
  (readConfigText(config).config as unknown as FullConfig).versionPolicy?.specific?.versions.map(String);

export const byNumber = (a: StoredVersion, b: StoredVersion): number => Number(a.version) - Number(b.version);
