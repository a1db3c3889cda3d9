/** The options by which commands choose jobs that have ended. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { JobFilter } from '../client/jobs.js';
import { STATUSES } from '../domain/completion.js';
import { ERROR_CODES } from '../domain/errors.js';
import { isBeginningOfJobId, isJobId, tenantSchema } from '../domain/job.js';
import { UsageError } from './usage.js';

export interface FilterFlags {
  readonly status?: string[];
  readonly code?: string[];
  readonly model?: string[];
  readonly since?: Date;
  readonly until?: Date;
  readonly prefix?: string;
  readonly group?: string;
  readonly tenant?: string;
}

const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const;

/** Reads `2026-12-01T12:00:00Z`, `2026-12-01`, or how long ago: `90s`, `30m`, `6h`, `2d`. */
export function timeOf(text: string): Date {
  const [, number, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (number !== undefined) {
    return new Date(Date.now() - Number(number) * SECONDS[unit as keyof typeof SECONDS] * 1_000);
  }
  const time = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2}))?$/.test(text)
    ? new Date(text)
    : undefined;
  if (time === undefined || Number.isNaN(time.getTime())) {
    throw new InvalidArgumentError('Expected a time such as 2026-12-01T12:00:00Z, or how long ago: 90s, 30m, 6h, 2d.');
  }
  return time;
}

function listOf(known: readonly string[] | undefined) {
  return (text: string, before: string[] | undefined): string[] => {
    const given = text.split(',').map((one) => one.trim());
    const wrong = known ? given.find((one) => !known.includes(one)) : given.find((one) => one === '');
    if (wrong !== undefined) {
      throw new InvalidArgumentError(
        known ? `Expected one of ${known.join(', ')}; given ${wrong}.` : 'Expected a name.',
      );
    }
    return [...(before ?? []), ...given];
  };
}

function beginningOfId(text: string): string {
  if (!isBeginningOfJobId(text)) {
    throw new InvalidArgumentError('Expected the beginning of a job id: letters, digits, ".", "_", ":" or "-".');
  }
  return text;
}

/** The id of a job, as an argument of a command. */
export function jobIdOf(text: string): string {
  if (!isJobId(text)) throw new InvalidArgumentError('Expected a job id: letters, digits, ".", "_", ":" or "-".');
  return text;
}

function tenantOf(text: string): string {
  if (tenantSchema.safeParse(text).success) return text;
  throw new InvalidArgumentError('Expected the label of a tenant: letters, digits, ".", "_", ":" or "-".');
}

/** Several job ids, as the arguments of a command. */
export function jobIdsOf(text: string, before: string[] | undefined): string[] {
  return [...(before ?? []), jobIdOf(text)];
}

export function wholeNumber(least: number, most: number) {
  return (text: string): number => {
    const number = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
    if (number >= least && number <= most) return number;
    throw new InvalidArgumentError(`Expected a whole number from ${least} to ${most}.`);
  };
}

/** Adds the options of a filter, except those that are named. */
export function withFilter(command: Command, without: readonly (keyof FilterFlags)[] = []): Command {
  const options = [
    new Option('--status <status,…>', `how it ended: ${STATUSES.join(', ')}`).argParser(listOf(STATUSES)),
    new Option('--code <code,…>', 'code of the error, such as INPUT_NOT_FOUND').argParser(listOf(ERROR_CODES)),
    new Option('--model <model,…>', 'model of the last operation').argParser(listOf(undefined)),
    new Option(
      '--since <time>',
      'ended then or later: 2026-12-01T12:00:00Z, or how long ago: 90s, 30m, 6h, 2d',
    ).argParser(timeOf),
    new Option('--until <time>', 'ended before').argParser(timeOf),
    new Option('--prefix <text>', 'beginning of the id; it makes the search shorter').argParser(beginningOfId),
    new Option('--group <id>', 'id of the group').argParser(jobIdOf),
    new Option('--tenant <label>', 'for whom the job was').argParser(tenantOf),
  ];
  command.hook('preAction', (_, called) => checkInterval(called.opts<FilterFlags>()));
  return options
    .filter((option) => !without.some((name) => name === option.attributeName()))
    .reduce((all, option) => all.addOption(option), command);
}

/** @throws UsageError for an interval in which no time lies */
function checkInterval({ since, until }: FilterFlags): void {
  if (since === undefined || until === undefined || since < until) return;
  throw new UsageError(
    `--since and --until: expected a time before --until, given ${since.toISOString()} and ${until.toISOString()}`,
  );
}

export function filterOf({ status, code, model, since, until, prefix, group, tenant }: FilterFlags): JobFilter {
  return { status, code, model, since, until, prefix, group, tenant };
}

/** Whether any of a filter's options was given. */
export function isFiltered(flags: FilterFlags): boolean {
  return Object.values(filterOf(flags)).some((value) => value !== undefined);
}
