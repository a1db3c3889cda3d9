import { readFileSync } from 'node:fs';

/** Of package.json, which lies beside src/ and dist/ alike. */
export function packageVersion(): string {
  const url = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(url, 'utf8')) as { version: string }).version;
}
