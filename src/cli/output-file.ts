/** The local file that a command writes its result to. It is checked before the work. */
import { accessSync, constants, statSync } from 'node:fs';
import { dirname, extname, resolve } from 'node:path';
import type { OutputFormat } from '../domain/job.js';
import { FORMATS } from '../pipeline/formats/index.js';
import { UsageError } from './usage.js';

/** Stands for standard output. */
export const STDOUT = '-';

/**
 * Checks that the file can be written, overwrites none of the inputs, and has a name that fits the format.
 * @param flag as the user wrote it
 * @param wanted the format of `--format`
 * @returns the format that the name says, if it says one
 * @throws UsageError
 */
export function checkOutputFile(
  flag: string,
  path: string,
  inputs: readonly string[],
  wanted: OutputFormat | undefined,
): OutputFormat | undefined {
  if (path === STDOUT) return undefined;
  const format = formatOf(flag, path, wanted);
  checkPlace(flag, path);
  checkOverwritesNone(flag, path, inputs);
  return format;
}

/** @throws UsageError if the file is one of the inputs */
export function checkOverwritesNone(flag: string, path: string, inputs: readonly string[]): void {
  const own = identityOf(path);
  if (inputs.some((input) => identityOf(input) === own)) {
    throw new UsageError(`${flag} ${path}: expected another file than the input, which would be overwritten`);
  }
}

/** The format that a file name says. `undefined`: the name has no extension. @throws UsageError */
function formatOf(flag: string, path: string, wanted: OutputFormat | undefined): OutputFormat | undefined {
  const extension = extname(path).slice(1).toLowerCase();
  if (extension === '') return undefined;
  const format = formatOfExtension(extension);
  if (format === undefined) {
    const known = Object.values(FORMATS).map((one) => `.${one.extension}`);
    throw new UsageError(`${flag} ${path}: expected a name that ends with ${known.join(', ')}, or with none`);
  }
  if (wanted !== undefined && wanted !== format) {
    throw new UsageError(`${flag} ${path}: the name says ${format}, and --format ${wanted}: expected one format`);
  }
  return format;
}

/** @param extension in lower case, without the dot */
export function formatOfExtension(extension: string): OutputFormat | undefined {
  const names = Object.keys(FORMATS) as OutputFormat[];
  return names.find((name) => name === extension || FORMATS[name].extension === extension);
}

/** Checks that a file can be written there. @throws UsageError */
export function checkPlace(flag: string, path: string): void {
  const folder = dirname(resolve(path));
  const stat = statSync(folder, { throwIfNoEntry: false });
  if (!stat?.isDirectory()) throw new UsageError(`${flag} ${path}: there is no folder ${folder}`);
  const there = statSync(path, { throwIfNoEntry: false });
  if (there?.isDirectory()) throw new UsageError(`${flag} ${path}: expected a file, given a folder`);
  try {
    accessSync(there ? path : folder, constants.W_OK);
  } catch {
    throw new UsageError(`${flag} ${path}: it may not be written`);
  }
}

/** Two names of one file have the same identity. */
function identityOf(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat ? `${stat.dev}:${stat.ino}` : resolve(path);
}
