/** Globs, for those that the shell does not expand: `*`, `**`, `?`, `[a-z]` and `{a,b}`. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const MAGIC = /[*?[{]/;

export function isGlob(text: string): boolean {
  return MAGIC.test(text);
}

/** The folder above the first part with a wildcard: results keep their places below it. */
export function baseOf(glob: string): string {
  const parts = glob.split('/');
  const fixed = parts.slice(
    0,
    Math.max(
      0,
      parts.findIndex((part) => MAGIC.test(part)),
    ),
  );
  return fixed.join('/') || (glob.startsWith('/') ? '/' : '.');
}

/** The files that a glob names, sorted, as paths that begin with its base. */
export function expand(glob: string): string[] {
  const base = baseOf(glob);
  const pattern = glob === base ? '' : base === '.' && !glob.startsWith('./') ? glob : glob.slice(base.length);
  const test = patternOf(pattern.replace(/^\/+/, ''));
  return filesUnder(base)
    .filter((path) => test.test(path))
    .map((path) => (base === '.' && !glob.startsWith('./') ? path : join(base, path)));
}

/** Relative paths of all files under a folder, sorted. Names that begin with a dot are left out. */
export function filesUnder(folder: string, except: (path: string) => boolean = () => false): string[] {
  const found: string[] = [];
  const walk = (inside: string) => {
    for (const entry of readdirSync(join(folder, inside), { withFileTypes: true })) {
      const path = inside === '' ? entry.name : `${inside}/${entry.name}`;
      if (entry.name.startsWith('.') || except(join(folder, path))) continue;
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile() || entry.isSymbolicLink()) found.push(path);
    }
  };
  walk('');
  return found.sort();
}

/** The regular expression of a glob, for whole paths with `/`. */
export function patternOf(glob: string): RegExp {
  let depth = 0;
  const source = glob.replace(/\*\*\/|\*\*|\*|\?|\[!?[^\]]+\]|[{},]|[^]/g, (token) => {
    switch (token) {
      case '**/':
        return '(?:[^/]+/)*';
      case '**':
        return '.*';
      case '*':
        return '[^/]*';
      case '?':
        return '[^/]';
      case '{':
        depth++;
        return '(?:';
      case '}':
        if (depth === 0) return '\\}';
        depth--;
        return ')';
      case ',':
        return depth > 0 ? '|' : ',';
      default:
        if (token.length > 1) return token.replace(/^\[!/, '[^').replaceAll('\\', '\\\\');
        return token.replace(/[.+^$()|[\]\\]/, '\\$&');
    }
  });
  return new RegExp(`^${source}${')'.repeat(depth)}$`, 'u');
}
