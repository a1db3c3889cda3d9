/** The pictures that the arguments of `submit` and `process` stand for. */
import { mkdtempSync, rmdirSync, statSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import { makeFolder } from '../../adapters/files/make-folder.js';
import { FORMATS } from '../../pipeline/formats/index.js';
import { UsageError } from '../usage.js';
import { baseOf, expand, filesUnder, isGlob } from './glob.js';
import { isManifest, type ManifestLine, readManifest } from './manifest.js';

export interface Item {
  /** As the user knows it: a path or an address. */
  readonly input: string;
  /** Path of the result under `--out`, without the extension of its format. */
  readonly out: string;
  readonly wish?: ManifestLine['wish'];
  /** File and line of its manifest, for messages. */
  readonly at?: string;
}

export interface Items {
  readonly items: readonly Item[];
  /** Files of folders that are left out, because their names are not those of pictures. */
  readonly leftOut: number;
}

/** Names of pictures in a folder. A file that is named by itself may have any name. */
const PICTURES = new RegExp(
  `\\.(?:${[...Object.values(FORMATS).map(({ extension }) => extension), 'jpeg', 'jpe', 'jfif', 'tif', 'tiff', 'gif', 'heic', 'heif', 'jxl', 'bmp'].join('|')})$`,
  'i',
);

/**
 * @param out folder of the results. It is left out where it lies in a folder of pictures.
 * @throws UsageError
 */
export function itemsOf(args: readonly string[], out: string | undefined): Items {
  const place = out === undefined ? undefined : resolve(out);
  let leftOut = 0;
  const items = args.flatMap((arg): Item[] => {
    if (arg.startsWith('gs://')) return [{ input: arg, out: stem(basename(arg)) }];
    const stat = statSync(arg, { throwIfNoEntry: false });
    if (stat?.isDirectory()) {
      const files = filesUnder(arg, (path) => resolve(path) === place);
      const pictures = files.filter((file) => PICTURES.test(file));
      leftOut += files.length - pictures.length;
      return pictures.map((file) => ({ input: join(arg, file), out: stem(file) }));
    }
    if (isManifest(arg)) return readManifest(arg).map(itemOfLine);
    if (stat) return [{ input: arg, out: stem(basename(arg)) }];
    if (!isGlob(arg)) throw new UsageError(`${arg}: there is no such file or folder`);
    const found = expand(arg);
    if (found.length === 0) throw new UsageError(`${arg}: no file matches`);
    return found.map((path) => ({ input: path, out: stem(relative(baseOf(arg), path)) }));
  });
  if (items.length === 0) throw new UsageError(`${args.join(', ')}: expected pictures, found none`);
  return { items: distinct(items), leftOut };
}

function itemOfLine({ at, input, out, wish }: ManifestLine): Item {
  return { at, input, out: out ?? stem(basename(input)), wish };
}

const stem = (path: string) => path.replace(/\.[^./]*$/, '');

/** Two pictures that differ in their extension alone keep it in the names of their results. */
function distinct(items: readonly Item[]): Item[] {
  const times = new Map<string, number>();
  for (const { out } of items) times.set(out, (times.get(out) ?? 0) + 1);
  const taken = new Set<string>();
  return items.map((item) => {
    const { input, out } = item;
    let name = (times.get(out) ?? 0) > 1 ? `${out}${/\.[^./]*$/.exec(input)?.[0] ?? ''}` : out;
    for (let n = 2; taken.has(name); n++) name = `${out}-${n}`;
    taken.add(name);
    return { ...item, out: name };
  });
}

/** Whether arguments stand for several pictures. */
export function areMany(args: readonly string[]): boolean {
  const [only] = args;
  if (args.length !== 1 || only === undefined) return true;
  if (only.startsWith('gs://')) return false;
  const stat = statSync(only, { throwIfNoEntry: false });
  if (stat) return stat.isDirectory() || isManifest(only);
  return isGlob(only) || isManifest(only);
}

/**
 * Checks `--out`, and creates the folder: files can be created in it, and whatever the format of a result, it may not take
 * the place of a picture.
 * @throws UsageError
 */
export function checkOut(out: string, items: readonly Item[]): void {
  const inputs = new Set(items.map(({ input }) => resolve(input)));
  const overwritten = items.flatMap((item) =>
    Object.values(FORMATS)
      .map(({ extension }) => resolve(out, `${item.out}.${extension}`))
      .filter((path) => inputs.has(path)),
  );
  if (overwritten[0] !== undefined) {
    throw new UsageError(`--out ${out}: expected another folder than that of the pictures, ${overwritten[0]} is one`);
  }
  try {
    makeFolder(resolve(out));
    rmdirSync(mkdtempSync(join(out, '.imagen-'))); // rights alone do not say so: of root, of a read-only disk
  } catch (thrown) {
    throw new UsageError(`--out ${out}: expected a folder that can be written: ${(thrown as Error).message}`);
  }
}
