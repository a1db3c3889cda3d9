/** A manifest: one picture a line, as JSON or CSV. */
import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { duplicateKey } from '../../domain/json.js';
import { UsageError } from '../usage.js';
import { numberOf } from '../operations.js';
import type { Wish } from '../submit/flags.js';

/** What a line says about its picture. Its fields stand above those of the flags. */
export interface ManifestLine {
  /** File and line, for messages. */
  readonly at: string;
  readonly input: string;
  /** Path of the result under `--out`, without its extension. */
  readonly out?: string;
  readonly wish: Partial<Wish> & { readonly generation?: string };
}

const FIELDS = [
  ...['input', 'out', 'jobId', 'generation', 'operations', 'output', 'priority', 'deadline', 'timeoutSeconds'],
  ...['experimentKey', 'metadata', 'group', 'tenant', 'redriveOf'],
];
/** Columns of a CSV. Those with a dot are fields of `output`. */
const COLUMNS = [
  ...['input', 'out', 'jobId', 'generation', 'operations', 'priority', 'deadline', 'experimentKey', 'tenant'],
  ...['output.format', 'output.quality', 'output.uri', 'output.prefix'],
];

export function isManifest(path: string): boolean {
  return /\.(?:jsonl|ndjson|csv)$/i.test(path);
}

/**
 * Reads a manifest. Paths of files are relative to its folder.
 * @throws UsageError that names the line
 */
export function readManifest(path: string): ManifestLine[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8').replace(/^\uFEFF/, '');
  } catch (error) {
    throw new UsageError(`${path}: ${(error as Error).message}`);
  }
  const rows = /\.csv$/i.test(path) ? csvObjects(text, path) : jsonObjects(text, path);
  if (rows.length === 0) throw new UsageError(`${path}: expected at least one picture, given none`);
  return rows.map(({ at, value }) => lineOf(value, at, dirname(path)));
}

interface Row {
  /** File and line, for messages. */
  readonly at: string;
  readonly value: Readonly<Record<string, unknown>>;
}

function lineOf({ input, out, ...wish }: Row['value'], at: string, folder: string): ManifestLine {
  if (typeof input !== 'string' || input === '') {
    throw new UsageError(
      `${at}: input: expected a path or gs://…, given ${input === undefined ? 'nothing' : JSON.stringify(input)}`,
    );
  }
  if (out !== undefined && (typeof out !== 'string' || out === '' || out.split('/').includes('..'))) {
    throw new UsageError(`${at}: out: expected a path under --out, given ${JSON.stringify(out)}`);
  }
  return {
    at,
    input: input.startsWith('gs://') || isAbsolute(input) ? input : join(folder, input),
    ...(out === undefined ? {} : { out }),
    wish, // its fields are checked with the rest of the message
  };
}

function jsonObjects(text: string, path: string): Row[] {
  return text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    const at = `${path}:${i + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      throw new UsageError(`${at}: expected a JSON object, given ${line.slice(0, 40)}`);
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new UsageError(`${at}: expected a JSON object, given ${line.slice(0, 40)}`);
    }
    const twice = duplicateKey(line);
    if (twice !== undefined) throw new UsageError(`${at}: ${twice} is given twice`);
    checkNames(Object.keys(value), FIELDS, at);
    return [{ at, value: value as Row['value'] }];
  });
}

function csvObjects(text: string, path: string): Row[] {
  const [head, ...rows] = parseCsv(text, path);
  if (!head) return [];
  checkNames(head.cells, COLUMNS, `${path}:1`);
  return rows.map(({ cells, line }) => {
    const at = `${path}:${line}`;
    if (cells.length !== head.cells.length) {
      throw new UsageError(`${at}: expected ${head.cells.length} columns, given ${cells.length}`);
    }
    const given = head.cells.map((name, i) => [name, cells[i] ?? ''] as const).filter(([, cell]) => cell !== '');
    return { at, value: unflatten(given) };
  });
}

function unflatten(given: readonly (readonly [string, string])[]): Record<string, unknown> {
  const output = given.filter(([name]) => name.startsWith('output.')).map(([name, cell]) => [name.slice(7), cell]);
  const flat = given.filter(([name]) => !name.startsWith('output.'));
  const value: Record<string, unknown> = Object.fromEntries(flat);
  const { operations } = value;
  if (typeof operations === 'string') value.operations = operations.split(/[ ,+]+/).map(operationOf);
  if (output.length > 0) {
    const fields = Object.fromEntries(output) as Record<string, unknown>;
    if (typeof fields.quality === 'string') fields.quality = numberOf(fields.quality);
    value.output = fields;
  }
  return value;
}

function operationOf(text: string): unknown {
  const [model, version] = text.split('@');
  return version === undefined ? model : { model, version };
}

function checkNames(names: readonly string[], known: readonly string[], at: string): void {
  const wrong = names.filter((name) => !known.includes(name));
  if (wrong.length > 0) {
    throw new UsageError(`${at}: unknown ${wrong.join(', ')}: expected ${known.join(', ')}`);
  }
}

/**
 * The rows of a CSV by RFC 4180. Empty lines are left out.
 * @throws UsageError for a quote that does not end, or that is not around a whole cell
 */
export function parseCsv(text: string, path: string): { readonly cells: string[]; readonly line: number }[] {
  const rows: { cells: string[]; line: number }[] = [];
  let cells: string[] = [];
  let line = 1;
  let from = 1;
  // It matches at each place where a cell begins, and nothing more where a quote is wrong.
  const next = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|\r|$)/y;
  while (next.lastIndex < text.length || cells.length > 0) {
    const match = next.exec(text);
    if (!match) {
      throw new UsageError(`${path}:${line}: expected quotes around a whole cell, and "" for a quote in it`);
    }
    const [all, quoted, plain = '', end = ''] = match;
    cells.push(quoted === undefined ? plain.trim() : quoted.replaceAll('""', '"'));
    line += all.split(/\r?\n|\r/).length - 1;
    if (end === ',') continue;
    if (cells.some((cell) => cell !== '')) rows.push({ cells, line: from });
    cells = [];
    from = line;
  }
  return rows;
}
