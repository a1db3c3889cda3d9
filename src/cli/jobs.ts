import { setTimeout as sleep } from 'node:timers/promises';
import { Command, Option } from 'commander';
import type { Client } from '../client/client.js';
import type { EndedJob, JobCounts } from '../client/jobs.js';
import { connected } from './connected.js';
import { type FilterFlags, filterOf, jobIdOf, wholeNumber, withFilter } from './job-filter.js';
import { describeEnd } from './status.js';
import { print, printJson, say } from './output.js';
import { CommandFailed, type Invocation, untilInterrupted, UsageError, withHelp } from './usage.js';

interface ListFlags extends FilterFlags {
  readonly limit: number;
  readonly after?: string;
  readonly count?: boolean;
  readonly watch?: boolean;
  readonly json?: boolean;
}

const LIMIT = 100;
const WATCH_EVERY_MS = 2_000;

export function jobsCommand(invocation: Invocation): Command {
  const command = new Command('jobs').addCommand(listCommand(invocation)).addCommand(showCommand(invocation));
  return withHelp(command, ['jobs list --status failed --since 2h', 'jobs show order-8841.front'], {
    1: 'nothing is known of the job, or a record could not be read',
  });
}

function listCommand(invocation: Invocation): Command {
  const command = withFilter(new Command('list').description('list jobs that have ended, in the order of their ids'))
    .addOption(new Option('--limit <n>', 'most jobs to list').argParser(wholeNumber(1, 1_000_000)).default(LIMIT))
    .addOption(
      new Option('--after <jobId>', 'go on after this job, the last one of the previous page').argParser(jobIdOf),
    )
    .option('--count', 'only count them, by status and code')
    .option('--watch', 'continue, and list each job when it ends, until interrupted; with --json a line each')
    .option('--json', 'print one JSON document')
    .action((flags: ListFlags) => {
      if (flags.count && flags.watch) throw new UsageError('--count and --watch: expected one of them, given both');
      return connected(invocation, (client) => list(client, flags, invocation));
    });
  return withHelp(
    command,
    [
      'jobs list --status failed --since 2h',
      'jobs list --code INPUT_NOT_FOUND --prefix order- --json',
      'jobs list --group album-17 --count',
      'jobs list --watch --status failed,expired',
    ],
    { 1: 'a record could not be read; the others are listed' },
  );
}

async function list(client: Client, flags: ListFlags, invocation: Invocation): Promise<void> {
  const filter = filterOf(flags);
  const onUnreadable = (_: string, { message }: Error) => {
    say(`imagen: ${message}`);
    invocation.exitCode = 1;
  };
  if (flags.watch) return watch(client, flags, onUnreadable);
  const counts =
    flags.count || flags.group !== undefined ? await client.countJobs(filter, { onUnreadable }) : undefined;
  const found: EndedJob[] = [];
  let next: string | undefined;
  if (!flags.count) {
    for await (const job of client.jobs(filter, { after: flags.after, onUnreadable })) {
      if (found.length === flags.limit) {
        next = found.at(-1)?.jobId;
        break;
      }
      found.push(job);
    }
  }
  if (flags.json) {
    const all = { ...(counts ? { counts } : {}), ...(flags.count ? {} : { jobs: found }), ...(next ? { next } : {}) };
    printJson(all);
    return;
  }
  for (const line of tableOf(found)) print(line);
  if (counts) print(describeCounts(counts));
  else if (found.length === 0) say('no job matches');
  if (next !== undefined) say(`there are more: go on with --after ${next}`);
}

async function watch(
  client: Client,
  flags: ListFlags,
  onUnreadable: (jobId: string, error: Error) => void,
): Promise<void> {
  const signal = untilInterrupted();
  const seen = new Set<string>();
  const told = new Set<string>();
  try {
    for (;;) {
      const options = {
        ...{ signal, after: flags.after },
        skip: (jobId: string) => seen.has(jobId),
        onUnreadable: (jobId: string, error: Error) => {
          if (!told.has(jobId)) onUnreadable(jobId, error);
          told.add(jobId);
        },
      };
      for await (const job of client.jobs(filterOf(flags), options)) {
        seen.add(job.jobId);
        if (flags.json) printJson(job, 0);
        else print(rowOf(job).join('  '));
      }
      await sleep(WATCH_EVERY_MS, undefined, { signal });
    }
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
  }
}

function rowOf({ jobId, endedAt, completion }: EndedJob): string[] {
  return [endedAt.replace(/\.\d+Z$/, 'Z'), jobId, describeEnd(completion)];
}

function tableOf(found: readonly EndedJob[]): string[] {
  const width = Math.max(0, ...found.map(({ jobId }) => jobId.length));
  return found.map((job) => {
    const [time = '', jobId = '', end = ''] = rowOf(job);
    return `${time}  ${jobId.padEnd(width)}  ${end}`;
  });
}

function describeCounts({ jobs, byStatus, byCode }: JobCounts): string {
  const list = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .map(([name, count]) => `${count} ${name}`)
      .join(', ');
  const codes = list(byCode);
  return [`${jobs} jobs have ended`, list(byStatus), codes].filter((part) => part !== '').join(': ');
}

function showCommand(invocation: Invocation): Command {
  const command = new Command('show')
    .description('print the record of a job: its completion, and its request')
    .argument('<jobId>', 'its id', jobIdOf)
    .option('--json', 'print JSON, which is the default')
    .action((jobId: string) =>
      connected(invocation, async (client) => {
        const found = await client.status(jobId);
        if (found.state === 'unknown') {
          throw new CommandFailed(
            `no job ${jobId} is known: it has no record, and \`imagen submit\` has not published it`,
          );
        }
        printJson(found);
      }),
    );
  return withHelp(command, ['jobs show order-8841.front'], { 1: 'nothing is known of it' });
}
