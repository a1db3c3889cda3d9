/** Reads the routes once, for those who need them at their start. */
import type { RoutesSource, RoutesText } from '../domain/ports.js';
import { parseRoutesDocument, type RoutesDocument } from '../domain/routes.js';
import { ConfigError } from './index.js';

export interface RoutesFound extends RoutesText {
  readonly document: RoutesDocument;
}

/**
 * @throws ConfigError if there is no document, or a wrong one; JobError `STORAGE_UNAVAILABLE` if storage does not answer
 */
export async function readRoutes(source: RoutesSource, signal: AbortSignal): Promise<RoutesFound> {
  const found = await source.read(signal);
  if (found.kind !== 'found') throw wrongRoutes(source.place, found.kind === 'unusable' ? found.reason : undefined);
  return { text: found.text, generation: found.generation, document: readDocument(source.place, found.text) };
}

/** @throws ConfigError that names each wrong field */
export function readDocument(place: string, text: string): RoutesDocument {
  try {
    return parseRoutesDocument(text);
  } catch (cause) {
    throw wrongRoutes(place, cause instanceof Error ? cause.message : String(cause));
  }
}

/** @param reason undefined if there is nothing at the place */
function wrongRoutes(place: string, reason: string | undefined): ConfigError {
  const [article, what] = place.startsWith('gs://') ? ['an', 'object'] : ['a', 'file'];
  return new ConfigError([
    `IMAGEN_ROUTES_FILE: expected ${article} ${what} of routes, given ${place}: ${reason ?? `there is no such ${what}`}`,
  ]);
}
