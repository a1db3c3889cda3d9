import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../stack/paths.js';

/** What each error code means to a person: the first sentence of its cause in docs/errors.md, by code. */
export function wordsOfCodes(): Readonly<Record<string, string>> {
  const rows = readFileSync(join(root, 'docs/errors.md'), 'utf8').matchAll(/^\| `([A-Z_]+)` +\| (.+?) +\|/gm);
  return Object.fromEntries(
    [...rows].map(([, code = '', cause = '']) => [code, plain(/^.*?\.(?= |$)/.exec(cause)?.[0] ?? cause)]),
  );
}

const plain = (markdown: string): string =>
  markdown.replace(/ \(\[[^\]]*\]\([^)]*\)\)/g, '').replace(/\[([^\]]*)\]\([^)]*\)|`/g, '$1');
