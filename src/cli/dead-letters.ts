import { Command, Option } from 'commander';
import { type Config, readConfig } from '../config/index.js';
import type { Delivery } from '../domain/ports.js';
import { type DeadLetter, deadLetterOf } from './dead-letters/letter.js';
import { type FilterFlags, wholeNumber, withFilter } from './job-filter.js';
import { pubSubFailed, reachPubSub } from './reach.js';
import { print, printJson, say } from './output.js';
import { CommandFailed, type Invocation, UsageError, withHelp } from './usage.js';

type LetterFilter = Pick<FilterFlags, 'code' | 'since' | 'until' | 'prefix'>;
type ListFlags = LetterFilter & { readonly limit: number; readonly json?: boolean };
type PurgeFlags = LetterFilter & { readonly all?: boolean; readonly dryRun?: boolean; readonly json?: boolean };

const NOT_FOR_LETTERS = ['status', 'model', 'group', 'tenant'] as const;
const LIMIT = 1_000;
/** Most letters that one `purge` or `show` looks at. Their messages are in memory meanwhile: 64 KiB each at most. */
export const MOST_LETTERS = 10_000;
const NOTE =
  '\nWhile a command looks, for some seconds, no other reader gets the dead letters. Pub/Sub may not show all of them at once.';

export function deadLettersCommand(invocation: Invocation): Command {
  const command = new Command('dead-letters')
    .addCommand(listCommand(invocation))
    .addCommand(showCommand(invocation))
    .addCommand(purgeCommand(invocation));
  return withHelp(
    command,
    [
      'dead-letters list --code INVALID_MESSAGE',
      'dead-letters show order-8841.front',
      'dead-letters purge --until 7d --dry-run',
    ],
    { 1: 'none matches, or the subscription cannot be read' },
  );
}

function listCommand(invocation: Invocation): Command {
  const command = withFilter(new Command('list').description('list dead letters'), NOT_FOR_LETTERS)
    .addOption(
      new Option('--limit <n>', 'most letters to look at').argParser(wholeNumber(1, MOST_LETTERS)).default(LIMIT),
    )
    .option('--json', 'print one JSON array')
    .action(async (flags: ListFlags) => {
      const found = await letters(invocation, flags.limit, flags);
      if (flags.json) printJson(found);
      else for (const letter of found) print(describe(letter));
      if (!flags.json && found.length === 0) say('no dead letter matches');
    });
  return withHelp(command, ['dead-letters list', 'dead-letters list --code WORKER_LOST --json'], FAILS).addHelpText(
    'after',
    NOTE,
  );
}

const FAILS = { 1: 'the subscription cannot be read' };

function showCommand(invocation: Invocation): Command {
  const command = new Command('show')
    .description('print a dead letter, with its message')
    .argument('<id>', 'a job id, or the id of a message')
    .option('--json', 'print JSON, which is the default')
    .action(async (id: string) => {
      const found = (await letters(invocation, MOST_LETTERS, {})).filter((letter) => isNamed(letter, [id]));
      if (found.length === 0)
        throw new CommandFailed(`no dead letter of ${id} is there: see \`imagen dead-letters list\``);
      printJson(found.length === 1 ? found[0] : found);
    });
  return withHelp(command, ['dead-letters show order-8841.front'], {
    1: 'there is none, or the subscription cannot be read',
  });
}

function purgeCommand(invocation: Invocation): Command {
  const command = withFilter(new Command('purge').description('remove dead letters for good'), NOT_FOR_LETTERS)
    .argument('[id...]', 'job ids, or ids of messages')
    .option('--all', 'all dead letters')
    .option('-n, --dry-run', 'show what would be removed, and remove nothing')
    .option('--json', 'print one JSON array')
    .action((ids: string[], flags: PurgeFlags) => purge(invocation, ids, flags));
  return withHelp(
    command,
    [
      'dead-letters purge order-8841.front',
      'dead-letters purge --code INVALID_MESSAGE --until 7d',
      'dead-letters purge --all --dry-run',
    ],
    { 1: 'none matches, or the subscription cannot be read' },
  ).addHelpText('after', NOTE);
}

async function purge(invocation: Invocation, ids: readonly string[], flags: PurgeFlags): Promise<void> {
  const { code, since, until, prefix, all } = flags;
  const filtered = [code, since, until, prefix].some((value) => value !== undefined);
  if ([ids.length > 0, filtered, all === true].filter(Boolean).length !== 1) {
    throw new UsageError('expected either ids, or a filter such as --code INVALID_MESSAGE, or --all');
  }
  const wanted = (letter: DeadLetter) => (ids.length > 0 ? isNamed(letter, ids) : isWanted(letter, flags));
  const gone: DeadLetter[] = [];
  await look(invocation, MOST_LETTERS, (messages) => {
    const chosen = messages.filter((message) => wanted(deadLetterOf(message)));
    gone.push(...chosen.map(deadLetterOf));
    return flags.dryRun ? [] : chosen;
  });
  if (flags.json) printJson(gone);
  else for (const letter of gone) print(`${flags.dryRun ? 'would remove' : 'removed'} ${describe(letter)}`);
  if (gone.length === 0) {
    say('no dead letter matches');
    invocation.exitCode = 1;
  }
}

/** The dead letters that match. They stay. @throws CommandFailed */
export async function letters(invocation: Invocation, most: number, filter: LetterFilter): Promise<DeadLetter[]> {
  const found: DeadLetter[] = [];
  await look(invocation, most, (messages) => {
    found.push(...messages.map(deadLetterOf).filter((letter) => isWanted(letter, filter)));
    return [];
  });
  return found.sort((a, b) => (a.publishedAt < b.publishedAt ? -1 : 1));
}

async function look(
  { env }: Invocation,
  most: number,
  choose: (messages: readonly Delivery[]) => readonly Delivery[],
): Promise<void> {
  const config: Pick<Config, 'projectId' | 'pubsubEmulator' | 'deadLetterSubscription'> = readConfig(env, [
    ...(['projectId', 'pubsubEmulator', 'deadLetterSubscription'] as const),
  ]);
  await reachPubSub(config);
  const [{ PubSubChannel, PUBLISHING }, { review }] = await Promise.all([
    import('../adapters/pubsub/channel.js'),
    import('../adapters/pubsub/review.js'),
  ]);
  const { projectId, pubsubEmulator: emulator, deadLetterSubscription } = config;
  const channel = new PubSubChannel({ projectId, emulator, pings: PUBLISHING });
  try {
    await review(channel, deadLetterSubscription, most, (messages) => {
      if (messages.length >= most) tellOfMore(most);
      return choose(messages);
    });
  } catch (thrown) {
    throw pubSubFailed(thrown, config, `subscription ${deadLetterSubscription}`);
  } finally {
    channel.close();
  }
}

function tellOfMore(most: number): void {
  const hint = most < MOST_LETTERS ? `: --limit looks at up to ${MOST_LETTERS}` : '';
  say(`${most} dead letters were looked at, and there may be more${hint}`);
}

function isWanted({ code, publishedAt, jobId }: DeadLetter, filter: LetterFilter): boolean {
  const time = new Date(publishedAt);
  return (
    (filter.code === undefined || (code !== undefined && filter.code.includes(code))) &&
    (filter.since === undefined || time >= filter.since) &&
    (filter.until === undefined || time < filter.until) &&
    (filter.prefix === undefined || (jobId?.startsWith(filter.prefix) ?? false))
  );
}

function isNamed({ jobId, messageId, originalMessageId }: DeadLetter, ids: readonly string[]): boolean {
  return [jobId, messageId, originalMessageId].some((id) => id !== undefined && ids.includes(id));
}

function describe({ jobId, messageId, code, message, publishedAt }: DeadLetter): string {
  return `${publishedAt.replace(/\.\d+Z$/, 'Z')}  ${jobId ?? `message ${messageId}`}  ${code ?? 'moved by Pub/Sub'}: ${message}`;
}
