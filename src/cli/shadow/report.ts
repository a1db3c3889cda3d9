import { Command } from 'commander';
import { createObjectStore } from '../../adapters/gcs/store.js';
import { mapInOrder } from '../../client/in-order.js';
import { readConfig } from '../../config/index.js';
import type { ShadowReport } from '../../domain/shadow.js';
import { listReports, readReport } from '../../shadow/reports.js';
import { type ShadowSummary, summarise, worst } from '../../shadow/summary.js';
import { print, printJson, say } from '../output.js';
import { reachStorage } from '../reach.js';
import { table } from '../table.js';
import { type Invocation, UsageError, untilInterrupted, withHelp } from '../usage.js';

interface ReportFlags {
  readonly model?: string;
  readonly json?: boolean;
}

const AT_ONCE = 16;
/** Jobs to name. */
const WORST = 5;

export function reportCommand(invocation: Invocation): Command {
  const command = new Command('report')
    .description(
      'show how the results of shadows differ from those of the jobs, from the reports that workers have stored',
    )
    .option('--model <name>', 'only shadows of this model')
    .option('--json', 'print one JSON document')
    .action((flags: ReportFlags) => report(invocation, flags));
  return withHelp(command, ['shadow report', 'shadow report --model upscale --json'], {
    1: 'storage does not answer, or a report could not be read; the others count',
  });
}

async function report(invocation: Invocation, { model, json }: ReportFlags): Promise<void> {
  const { shadowPrefix: prefix, storageEmulator } = readConfig(invocation.env, ['shadowPrefix', 'storageEmulator']);
  if (prefix === undefined) {
    throw new UsageError('IMAGEN_SHADOW_PREFIX is not set. Expected gs://<bucket>/<prefix> (docs/configuration.md).');
  }
  await reachStorage({ storageEmulator }, 'IMAGEN_SHADOW_PREFIX', prefix);
  const store = createObjectStore({ emulator: storageEmulator });
  const signal = untilInterrupted();
  const reports: ShadowReport[] = [];
  const refs = listReports(store, prefix, model, signal);
  for await (const found of mapInOrder(refs, AT_ONCE, (ref) => readReport(store, ref, signal))) {
    if (typeof found === 'string') {
      say(`imagen: ${found}`);
      invocation.exitCode = 1;
    } else if (found) reports.push(found);
  }
  const groups = summarise(reports);
  const worstOnes = worst(reports, WORST);
  if (json) printJson({ prefix, groups, worst: worstOnes });
  else if (groups.length === 0) say(`no shadow has been reported under ${prefix}`);
  else {
    for (const line of table(COLUMNS, groups.map(rowOf)).split('\n')) print(line);
    for (const line of groups.flatMap(codesOf)) print(line);
    if (worstOnes.length > 0) print('least similar:');
    for (const line of worstOnes.flatMap(linesOf)) print(line);
  }
}

const COLUMNS = [
  ...['model', 'version', 'beside', 'compared', 'failed', 'other size'],
  ...['mean levels', '95 %', 'max', '> 8 levels', 'SSIM', 'least', 'time'],
];

function rowOf(one: ShadowSummary): string[] {
  const figure = (value: number | null | undefined, digits: number) =>
    value === null || value === undefined ? '-' : value.toFixed(digits);
  return [
    ...[one.model, one.version, one.servedVersion],
    ...[one.compared, one.failed, one.sizeDiffers].map(String),
    ...[figure(one.levels?.mean, 2), figure(one.levels?.p95, 2), figure(one.maxLevels, 0)],
    one.shareAbove8 === null ? '-' : `${(one.shareAbove8 * 100).toFixed(2)} %`,
    ...[figure(one.similarity?.mean, 4), figure(one.similarity?.min, 4)],
    one.timeRatio === null ? '-' : `× ${one.timeRatio.toFixed(2)}`,
  ];
}

function codesOf({ model, version, codes }: ShadowSummary): string[] {
  const counts = Object.entries(codes).map(([code, count]) => `${count} ${code}`);
  return counts.length === 0 ? [] : [`${model} ${version} failed: ${counts.join(', ')}`];
}

function linesOf({ jobId, model, version, difference, pictures }: ShadowReport): string[] {
  const { similarity = 1, meanLevels = 0, maxLevels = 0 } = difference ?? {};
  return [
    `  ${jobId}, ${model} ${version}: SSIM ${similarity.toFixed(4)}, mean ${meanLevels.toFixed(2)}, max ${maxLevels} levels`,
    `    ${pictures.job}`,
    ...(pictures.shadow === undefined ? [] : [`    ${pictures.shadow}`]),
  ];
}
