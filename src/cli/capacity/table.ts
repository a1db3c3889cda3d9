/** The report as text, at most 120 columns wide. */
import { table } from '../table.js';
import { labelOf } from './notes.js';
import { isMeasured, type Report, type SizeMeasured, type SizeReport, type VersionReport } from './report.js';

const WIDTH = 110;

export function reportText(report: Report): string {
  const { versions, notes } = report;
  const measured = versions.filter(({ error }) => error === undefined);
  const sections = [
    wrap(ranOn(report)),
    ...(measured.length > 0 ? [table(COST_COLUMNS, measured.map(costRow)), sizeTable(measured)] : []),
    failures(versions)
      .map((line) => wrap(line))
      .join('\n'),
    notes.map((note) => wrap(`- ${note}`, '  ')).join('\n'),
  ];
  return sections.filter((section) => section !== '').join('\n\n');
}

function ranOn({ ranOn: { triton, transport, imagen, node, processors, poolThreads, maxJobs } }: Report): string {
  const carrier = transport.length > 0 ? `, tensors by ${transport.join(' and ')}` : '';
  return (
    `Triton ${triton.version} at ${triton.url}${triton.onThisMachine ? ' (this machine)' : ''}${carrier}; ` +
    `a worker of imagen ${imagen} on Node ${node} with ${processors} processors, ${poolThreads} pool threads, ` +
    `at most ${maxJobs} jobs in work`
  );
}

const COST_COLUMNS = ['model', 'on', 'instances', 'max batch', 'launch ms', 'ms a megapixel', 'worst error'];

function costRow(version: VersionReport): string[] {
  const { device = '', gpus = 0, instances, maxBatchSize, cost } = version;
  const on = gpus > 1 ? `${gpus} ${device.toUpperCase()}s` : device.toUpperCase();
  return [
    ...[labelOf(version), on, String(instances), String(maxBatchSize)],
    ...(cost
      ? [short(cost.launchMs), short(cost.perMegapixelMs), `${Math.round(cost.worstError * 100)} %`]
      : ['-', '-', '-']),
  ];
}

function sizeTable(versions: readonly VersionReport[]): string {
  const rows = versions.flatMap((version) =>
    version.sizes.filter(isMeasured).map((size) => ({ label: labelOf(version), size })),
  );
  if (rows.length === 0) return '';
  const priced = rows.some(({ size }) => size.sizing?.costPerThousand !== undefined);
  const columns = [
    ...['model', 'picture', 'requests', 'batch', 'ms', 'GPU jobs/s', "worker's", 'CPU ms', 'workers'],
    ...['images/h', ...(priced ? ['cost/1000'] : [])],
  ];
  const cells = rows.map(({ label, size }) => [
    label,
    ...sizeRow(size),
    ...(priced ? [cell(size.sizing?.costPerThousand)] : []),
  ]);
  return `${table(columns, cells)}\n\n${LEGEND.map((line) => wrap(line)).join('\n')}`;
}

const LEGEND = [
  'requests: of one job. batch, ms: the fullest batch that formed, and how long it kept an instance busy.',
  "worker's, CPU ms: jobs/s of one worker on this machine, and its processor time for a job. * Triton was busy: the worker was not the limit.",
  'workers: like this one, to keep a GPU busy; below 1, one serves several. images/h: of a GPU that is never idle.',
];

function sizeRow(size: SizeReport & SizeMeasured): string[] {
  const { plan, requests, executions, worker, sizing } = size;
  const fullest = executions.batches.at(-1);
  // A star marks what Triton limited and not the worker.
  const star = sizing?.worker?.limit === 'triton' ? '*' : '';
  return [
    ...[`${size.width}x${size.height}`, `${requests} ${plan}`, cell(fullest?.batchSize), cell(fullest?.meanMs)],
    ...[cell(sizing?.jobsPerSecondPerGpu), `${cell(worker?.jobsPerSecond)}${star}`, cell(worker?.cpuMsPerJob)],
    ...[cell(sizing?.worker?.workersPerGpu), cell(sizing?.imagesPerGpuHour)],
  ];
}

function failures(versions: readonly VersionReport[]): string[] {
  return versions.flatMap((version) => {
    const { error, sizes } = version;
    const label = labelOf(version);
    if (error) return [`${label}: ${error.code}: ${error.message}`];
    return sizes.flatMap((size) => {
      const complaint = complaintAbout(size);
      return complaint === undefined ? [] : [`${label}, ${size.width}x${size.height}: ${complaint}`];
    });
  });
}

function complaintAbout(size: SizeReport): string | undefined {
  if (!isMeasured(size)) return `${size.error.code}: ${size.error.message}`;
  if (!size.worker) return 'no job of a worker ends in the time: give more --seconds';
  if (size.sizing?.worker?.limit !== 'neither') return undefined;
  return 'neither Triton nor the worker was busy, so the number of workers is unknown: give more --seconds';
}

const cell = (value: number | undefined): string => (value === undefined ? '-' : short(value));

/** Three significant digits, and all digits before the point. */
export function short(value: number): string {
  if (value === 0) return '0';
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return Math.abs(value) >= 1000
    ? String(Math.round(value))
    : value
        .toFixed(Math.min(digits, 6))
        .replace(/(\.\d*?)0+$/, '$1')
        .replace(/\.$/, '');
}

function wrap(text: string, indent = ''): string {
  const lines = [''];
  for (const word of text.split(' ')) {
    const last = lines.at(-1) ?? '';
    if (last !== '' && last.length + 1 + word.length > WIDTH) lines.push(`${indent}${word}`);
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`;
  }
  return lines.join('\n');
}
