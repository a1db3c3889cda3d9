import { Command, Option } from 'commander';
import type { Client } from '../client/client.js';
import { mapInOrder } from '../client/in-order.js';
import { refusalOf, type Redriven, type RedriveJob, type RedriveOptions } from '../client/redrive.js';
import { isJobId, originalOf } from '../domain/job.js';
import { letters, MOST_LETTERS } from './dead-letters.js';
import { lettersByJob, requestOfLetter } from './dead-letters/letter.js';
import { connected } from './connected.js';
import { type FilterFlags, filterOf, isFiltered, jobIdsOf, withFilter } from './job-filter.js';
import { reachToPublish } from './reach.js';
import { print, printJson, say } from './output.js';
import { type Invocation, UsageError, withHelp } from './usage.js';

interface Flags extends FilterFlags {
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly deadline?: string;
  readonly deadLetters?: boolean;
  readonly json?: boolean;
}

const AT_ONCE = 16;

export function redriveCommand(invocation: Invocation): Command {
  const command = withFilter(new Command('redrive').argument('[jobId...]', 'ids of jobs', jobIdsOf))
    .option('-n, --dry-run', 'show what would be published, and publish nothing')
    .option(
      '--force',
      'also repeat jobs that succeeded, were canceled, would fail in the same way, or were redriven 5 times',
    )
    .addOption(
      new Option('--deadline <time>', 'a new deadline; the old one is kept unless it has passed').argParser(deadlineOf),
    )
    .option(
      '--dead-letters',
      'all dead letters, or those that match --code, --since, --until or --prefix; none is removed',
    )
    .option('--json', 'print one JSON document')
    .action((jobIds: string[] | undefined, flags: Flags) => redriveJobs(jobIds ?? [], flags, invocation));
  return withHelp(
    command,
    [
      'redrive order-8841.front',
      'redrive --code INPUT_NOT_FOUND --since 2h --dry-run',
      'redrive --status failed --group album-17',
      'redrive --dead-letters --code RETRIES_EXHAUSTED',
    ],
    {
      1: 'a job was refused: it would fail in the same way, or its request is not known; or a record could not be read',
    },
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
  const { status, model, group, tenant } = flags;
  if (flags.deadLetters && (jobIds.length > 0 || [status, model, group, tenant].some((value) => value !== undefined))) {
    throw new UsageError('--dead-letters: expected no ids, and no filter but --code, --since, --until and --prefix');
  }
  if (jobIds.length === 0 && !isFiltered(flags) && !flags.deadLetters) {
    throw new UsageError('expected ids of jobs, or a filter such as --status failed');
  }
  if (jobIds.length > 0 && isFiltered(flags))
    throw new UsageError('expected either ids of jobs or a filter, given both');
  const { dryRun = false, force = false, deadline, json } = flags;
  const options = { dryRun, force, deadline };
  await connected(invocation, async (client) => {
    if (!dryRun) await reachToPublish(invocation.env);
    const found: Redriven[] = [];
    for await (const one of chosen(client, jobIds, flags, options, invocation)) {
      found.push(one);
      if (!json) print(describe(one));
    }
    if (json) printJson({ counts: countsOf(found), jobs: found });
    else say(summaryOf(found));
    if (found.some(({ state }) => state === 'refused')) invocation.exitCode = 1;
  });
}

function chosen(
  client: Client,
  jobIds: readonly string[],
  flags: Flags,
  options: RedriveOptions,
  invocation: Invocation,
): AsyncIterable<Redriven> {
  if (flags.deadLetters) return ofLetters(client, flags, options, invocation);
  if (jobIds.length > 0) {
    return mapInOrder(new Set(jobIds.map(originalOf)), AT_ONCE, (jobId) => redriveOne(client, { jobId }, options));
  }
  const onUnreadable = (_: string, { message }: Error) => {
    say(`imagen: ${message}`);
    invocation.exitCode = 1;
  };
  return client.redriveAll(filterOf(flags), { ...options, onUnreadable });
}

/** Redrives one job. If that is refused, the result says why, and the other jobs go on. */
async function redriveOne(client: Client, job: RedriveJob, options: RedriveOptions): Promise<Redriven> {
  try {
    return await client.redrive(job, options);
  } catch (thrown) {
    return refusalOf(originalOf(job.jobId), thrown);
  }
}

/** Redrives the jobs of dead letters. A letter without a readable job is reported as refused. */
async function* ofLetters(
  client: Client,
  flags: Flags,
  options: RedriveOptions,
  invocation: Invocation,
): AsyncGenerator<Redriven, void, void> {
  const found = await letters(invocation, MOST_LETTERS, flags);
  yield* mapInOrder(lettersByJob(found), AT_ONCE, ([jobId, letter]): Promise<Redriven> => {
    const refused = (why: string) => Promise.resolve({ original: jobId, state: 'refused' as const, jobId, why });
    const request = requestOfLetter(letter);
    if (!request || !isJobId(jobId)) return refused(`${letter.code ?? 'moved by Pub/Sub'}: its message cannot be read`);
    return redriveOne(client, { jobId, request }, options);
  });
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
