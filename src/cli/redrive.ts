import { Command, Option } from 'commander';
import type { Client } from '../client/client.js';
import { mapInOrder } from '../client/in-order.js';
import type { Redriven, RedriveOptions } from '../client/redrive.js';
import { connected } from './connected.js';
import { type FilterFlags, filterOf, isFiltered, jobIdsOf, withFilter } from './job-filter.js';
import { type Invocation, UsageError, withHelp } from './usage.js';

interface Flags extends FilterFlags {
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly deadline?: string;
  readonly json?: boolean;
}

const AT_ONCE = 16;

export function redriveCommand(invocation: Invocation): Command {
  const command = withFilter(
    new Command('redrive')
      .description(
        'do jobs again, as <jobId>~r1, ~r2 …: those that are named, or all that match; again and again it does nothing twice',
      )
      .argument('[jobId...]', 'ids of jobs', jobIdsOf),
  )
    .option('-n, --dry-run', 'say what would be done, and publish nothing')
    .option('--force', 'also what has succeeded, was canceled, would fail in the same way, or was redriven 5 times')
    .addOption(
      new Option('--deadline <time>', 'a new deadline; the old one is kept unless it has passed').argParser(deadlineOf),
    )
    .option('--json', 'print one JSON document')
    .action((jobIds: string[] | undefined, flags: Flags) => redriveJobs(jobIds ?? [], flags, invocation));
  return withHelp(
    command,
    [
      'redrive order-8841.front',
      'redrive --code INPUT_NOT_FOUND --since 2h --dry-run',
      'redrive --status failed --group album-17',
    ],
    { 1: 'a job was refused: it would fail in the same way, or its request is not known' },
  );
}

function deadlineOf(text: string): string {
  const time = Date.parse(text);
  if (Number.isNaN(time))
    throw new UsageError(`--deadline: expected a time such as 2026-12-01T12:00:00Z, given ${text}`);
  if (time <= Date.now()) throw new UsageError(`--deadline: expected a time to come, given ${text}`);
  return new Date(time).toISOString();
}

async function redriveJobs(jobIds: readonly string[], flags: Flags, invocation: Invocation): Promise<void> {
  if (jobIds.length === 0 && !isFiltered(flags)) {
    throw new UsageError('expected ids of jobs, or a filter such as --status failed');
  }
  if (jobIds.length > 0 && isFiltered(flags))
    throw new UsageError('expected either ids of jobs or a filter, given both');
  const { dryRun = false, force = false, deadline, json } = flags;
  const options = { dryRun, force, deadline };
  await connected(invocation, async (client) => {
    const found: Redriven[] = [];
    for await (const one of chosen(client, jobIds, flags, options)) {
      found.push(one);
      if (!json) console.log(describe(one));
    }
    if (json) console.log(JSON.stringify({ counts: countsOf(found), jobs: found }, null, 2));
    else console.error(summaryOf(found));
    if (found.some(({ state }) => state === 'refused')) invocation.exitCode = 1;
  });
}

function chosen(
  client: Client,
  jobIds: readonly string[],
  flags: Flags,
  options: RedriveOptions,
): AsyncIterable<Redriven> {
  if (jobIds.length > 0) return mapInOrder(new Set(jobIds), AT_ONCE, (jobId) => client.redrive(jobId, options));
  const onUnreadable = (_: string, { message }: Error) => console.error(`imagen: ${message}`);
  return client.redriveAll(filterOf(flags), { ...options, onUnreadable });
}

function describe({ original, state, jobId, why }: Redriven): string {
  return why === undefined ? `${original}: ${state} as ${jobId}` : `${original}: ${state}: ${why}`;
}

function countsOf(found: readonly Redriven[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { state } of found) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}

function summaryOf(found: readonly Redriven[]): string {
  if (found.length === 0) return 'no job matches';
  return Object.entries(countsOf(found))
    .map(([state, count]) => `${count} ${state}`)
    .join(', ');
}
