/** What the reports of shadows say together. */
import type { ShadowReport } from '../domain/shadow.js';

/** The shadows of a version beside one that served the jobs. Figures are null where nothing was compared. */
export interface ShadowSummary {
  readonly model: string;
  readonly version: string;
  readonly servedVersion: string;
  readonly compared: number;
  readonly sizeDiffers: number;
  readonly failed: number;
  /** How many failed, by the error's code. */
  readonly codes: Readonly<Record<string, number>>;
  /** Of the mean difference of each picture, in levels of 255. */
  readonly levels: { readonly mean: number; readonly p95: number } | null;
  /** Largest difference of any pixel, in levels of 255. */
  readonly maxLevels: number | null;
  /** Mean share of the pixels that differ by more than 8 levels. */
  readonly shareAbove8: number | null;
  readonly similarity: { readonly mean: number; readonly min: number } | null;
  /** Median of the time of the shadow's requests divided by that of the job's. */
  readonly timeRatio: number | null;
}

/** Groups the reports by model, version and the version that served, in that order. */
export function summarise(reports: readonly ShadowReport[]): ShadowSummary[] {
  const groups = new Map<string, ShadowReport[]>();
  for (const report of reports) {
    const key = [report.model, report.version, report.servedVersion].join('\n');
    groups.set(key, [...(groups.get(key) ?? []), report]);
  }
  const inOrder = [...groups].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }));
  return inOrder.flatMap(([, [first, ...rest]]) => (first ? [summaryOf(first, [first, ...rest])] : []));
}

function summaryOf({ model, version, servedVersion }: ShadowReport, reports: readonly ShadowReport[]): ShadowSummary {
  const differences = reports.flatMap(({ difference }) => (difference ? [difference] : []));
  const of = (figure: keyof (typeof differences)[number]) => differences.map((one) => one[figure]);
  const count = (result: ShadowReport['result']) => reports.filter((one) => one.result === result).length;
  const codes: Record<string, number> = {};
  for (const { error } of reports) if (error) codes[error.code] = (codes[error.code] ?? 0) + 1;
  const some = differences.length > 0;
  return {
    ...{ model, version, servedVersion, codes },
    ...{ compared: count('compared'), sizeDiffers: count('size differs'), failed: count('failed') },
    levels: some ? { mean: mean(of('meanLevels')), p95: quantile(of('meanLevels'), 0.95) } : null,
    maxLevels: some ? quantile(of('maxLevels'), 1) : null,
    shareAbove8: some ? mean(of('shareAbove8')) : null,
    similarity: some ? { mean: mean(of('similarity')), min: quantile(of('similarity'), 0) } : null,
    timeRatio: median(ratiosOf(reports)),
  };
}

function ratiosOf(reports: readonly ShadowReport[]): number[] {
  return reports.flatMap(({ seconds }) => (seconds && seconds.job > 0 ? [seconds.shadow / seconds.job] : []));
}

/** The compared pictures that differ most: those with the least similarity. */
export function worst(reports: readonly ShadowReport[], most: number): ShadowReport[] {
  const similarity = ({ difference }: ShadowReport) => difference?.similarity ?? 1;
  return reports
    .filter(({ difference }) => difference !== undefined)
    .sort((a, b) => similarity(a) - similarity(b))
    .slice(0, most);
}

const mean = (values: readonly number[]): number => values.reduce((sum, one) => sum + one, 0) / values.length;

/** The smallest value that at least this share of the values does not exceed. */
function quantile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.max(1, Math.ceil(values.length * share)) - 1] ?? NaN;
}

const median = (values: readonly number[]): number | null => (values.length === 0 ? null : quantile(values, 0.5));
