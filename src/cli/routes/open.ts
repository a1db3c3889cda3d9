/** What the commands that show and edit the routes share: the document. */
import { openRoutesStore } from '../../adapters/routes.js';
import { readConfig } from '../../config/index.js';
import type { RoutesStore, RoutesText } from '../../domain/ports.js';
import { CommandFailed, UsageError } from '../usage.js';

/** Time limit for all calls to storage of one command, in milliseconds. */
const LIMIT_MS = 30_000;

export interface OpenRoutes {
  readonly place: string;
  readonly store: RoutesStore;
  readonly signal: AbortSignal;
}

/** @throws UsageError if IMAGEN_ROUTES_FILE is not set; ConfigError */
export function openRoutes(env: NodeJS.ProcessEnv): OpenRoutes {
  const { routesFile, storageEmulator } = readConfig(env, ['routesFile', 'storageEmulator']);
  if (routesFile === undefined) {
    throw new UsageError(
      'IMAGEN_ROUTES_FILE is not set. Expected a path, or gs://<bucket>/<object> (docs/configuration.md).',
    );
  }
  const store = openRoutesStore({ routesFile, storageEmulator });
  return { place: routesFile, store, signal: AbortSignal.timeout(LIMIT_MS) };
}

/** @returns undefined if there is no document yet. @throws CommandFailed if there is something else; JobError */
export async function readCurrent({ place, store, signal }: OpenRoutes): Promise<RoutesText | undefined> {
  const found = await store.read(signal);
  if (found.kind === 'unusable') throw new CommandFailed(`${place} cannot be read: ${found.reason}`);
  return found.kind === 'found' ? { text: found.text, generation: found.generation } : undefined;
}
