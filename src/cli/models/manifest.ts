/** Who pushed a version, when, and what: `imagen-manifest.json` in the version's own folder, which no backend of Triton reads. */
import { createHash } from 'node:crypto';
import { hostname, userInfo } from 'node:os';
import { z } from 'zod';
import { packageVersion } from '../../config/version.js';
import { type ModelFile, sha256Of } from './directory.js';

const manifestSchema = z.object({
  model: z.string(),
  version: z.string(),
  pushedAt: z.string(),
  pushedBy: z.string(),
  note: z.string().optional(),
  /** The program that pushed it, with its version. */
  tool: z.string(),
  /** SHA-256 of the configuration that came with it. */
  configuration: z.string(),
  /** SHA-256 of each file of the version, by its path. */
  files: z.record(z.string(), z.string()),
});
export type Manifest = Readonly<z.output<typeof manifestSchema>>;

export async function manifestOf(
  { model, version, config }: { readonly model: string; readonly version: string; readonly config: string },
  files: readonly ModelFile[],
  note: string | undefined,
): Promise<Manifest> {
  const sums: Record<string, string> = {};
  for (const { path, place } of files) sums[path] = await sha256Of(place);
  return {
    ...{ model, version, pushedAt: new Date().toISOString(), pushedBy: `${userName()}@${hostname()}` },
    ...(note === undefined ? {} : { note }),
    ...{ tool: `imagen ${packageVersion()}`, configuration: sha256(config), files: sums },
  };
}

/** @returns undefined for a text that is no manifest */
export function parseManifest(text: string): Manifest | undefined {
  try {
    return manifestSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined; // no JSON
  }
}

export const manifestText = (manifest: Manifest): string => `${JSON.stringify(manifest, null, 2)}\n`;

export const sha256 = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex');

/** Paths whose checksums differ, or that only one side has. */
export function differing(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): string[] {
  const paths = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...paths].filter((path) => a[path] !== b[path]).sort();
}

/** In a container, the user may have no name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid-${process.getuid?.() ?? 'unknown'}`;
  }
}
