import { readFileSync } from 'node:fs';

/** Reads the version from package.json, which is next to both src/ and dist/. */
export function packageVersion(): string {
  const url = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(url, 'utf8')) as { version: string }).version;
}
