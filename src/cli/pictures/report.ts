/** What became of each picture, for people and for programs. */
import { extname } from 'node:path';
import { oneLine, visible } from '../output.js';
import { checkOverwritesNone, checkPlace } from '../output-file.js';
import { UsageError } from '../usage.js';

/** `refused`: nothing was published. `submitted`: published, and not ended when the command did. `not done`: the
 * command was interrupted before. */
export type RowOutcome =
  'succeeded' | 'failed' | 'expired' | 'canceled' | 'submitted' | 'refused' | 'not done' | (string & {});

export interface Row {
  readonly input: string;
  readonly outcome: RowOutcome;
  readonly jobId?: string | undefined;
  /** Whether this run published the job; otherwise an earlier one did. */
  readonly published?: boolean | undefined;
  readonly code?: string | undefined;
  readonly message?: string | undefined;
  /** Address of the result. */
  readonly output?: string | undefined;
  /** Local path of the result. */
  readonly saved?: string | undefined;
  readonly totalMs?: number | undefined;
}

export interface Report {
  readonly startedAt: string;
  readonly seconds: number;
  readonly interrupted: boolean;
  readonly counts: Readonly<Record<string, number>>;
  readonly jobs: readonly Row[];
}

const COLUMNS = [
  ...(['input', 'outcome', 'jobId', 'published', 'code', 'message', 'output', 'saved', 'totalMs'] as const),
] satisfies (keyof Row)[];

/**
 * @param args of the command: a manifest among them is not overwritten
 * @throws UsageError for a name that is neither, and for a file that cannot or may not be written
 */
export function checkReport(path: string, args: readonly string[]): void {
  if (!/^\.(?:json|csv)$/i.test(extname(path))) {
    throw new UsageError(`--report ${path}: expected a name that ends with .json or .csv`);
  }
  checkPlace('--report', path);
  checkOverwritesNone('--report', path, args);
}

export function reportOf(rows: readonly Row[], startedAt: Date, interrupted: boolean): Report {
  const counts: Record<string, number> = {};
  for (const { outcome } of rows) counts[outcome] = (counts[outcome] ?? 0) + 1;
  const seconds = Math.round((Date.now() - startedAt.getTime()) / 100) / 10;
  return { startedAt: startedAt.toISOString(), seconds, interrupted, counts, jobs: rows };
}

/** @param path decides: JSON, or CSV by RFC 4180 */
export function reportFile(path: string, report: Report): string {
  if (/\.json$/i.test(path)) return `${JSON.stringify(report, null, 2)}\n`;
  const lines = report.jobs.map((row) => COLUMNS.map((column) => cell(row[column])).join(','));
  return `${[COLUMNS.join(','), ...lines].join('\r\n')}\r\n`;
}

function cell(value: string | number | boolean | undefined): string {
  // Line breaks may stand in a quoted cell; no other control character may.
  const text = String(value ?? '')
    .split('\r')
    .map(visible)
    .join('\r');
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** One line for each outcome and code: how often, and an example. */
export function summary({ jobs }: Report): string {
  const kinds = new Map<string, { count: number; before: number; example: string }>();
  for (const row of jobs) {
    const { outcome, code, published, input } = row;
    const kind = code === undefined ? outcome : `${outcome} ${code}`;
    const known = kinds.get(kind) ?? { count: 0, before: 0, example: input };
    known.count++;
    if (published === false) known.before++;
    kinds.set(kind, known);
  }
  const lines = [...kinds].map(([kind, { count, before, example }]) => ({
    kind,
    count: String(count),
    note: [
      ...(before > 0 ? [`${before} submitted before`] : []),
      ...(kind === 'succeeded' ? [] : [`e.g. ${oneLine(example)}`]),
    ],
  }));
  const wide = Math.max(...lines.map(({ kind }) => kind.length), 8);
  const deep = Math.max(...lines.map(({ count }) => count.length));
  return lines
    .map(({ kind, count, note }) => `${kind.padEnd(wide)}  ${count.padStart(deep)}  ${note.join(', ')}`.trimEnd())
    .join('\n');
}
