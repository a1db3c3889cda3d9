import { Command, Option } from 'commander';
import { matches } from '../client/jobs.js';
import { readConfig } from '../config/index.js';
import { type Completion, STATUSES } from '../domain/completion.js';
import { groupCompletionSchema } from '../domain/group-completion.js';
import type { Delivery } from '../domain/ports.js';
import { anyOf } from '../domain/signals.js';
import { factsOf } from '../records/facts.js';
import { type FilterFlags, filterOf, wholeNumber, withFilter } from './job-filter.js';
import { pubSubFailed, reachPubSub } from './reach.js';
import { describeEnd } from './status.js';
import { print, printJson, say } from './output.js';
import { CommandFailed, type Invocation, untilInterrupted, withHelp } from './usage.js';

type Flags = Pick<FilterFlags, 'status' | 'code' | 'model' | 'prefix' | 'group' | 'tenant'> & {
  readonly limit?: number;
  readonly seconds?: number;
  readonly json?: boolean;
};

export function watchCommand(invocation: Invocation): Command {
  const command = withFilter(new Command('watch'), ['since', 'until'])
    .addOption(new Option('--limit <n>', 'end after this many completions').argParser(wholeNumber(1, 1_000_000)))
    .addOption(new Option('--seconds <n>', 'end after this time').argParser(wholeNumber(1, 1_000_000)))
    .option('--json', 'print each completion as JSON, a line each')
    .action((flags: Flags) => watch(flags, invocation));
  return withHelp(command, ['watch', 'watch --status failed,expired', 'watch --group album-17 --json --limit 200'], {
    1: 'the topic cannot be read',
  });
}

async function watch(flags: Flags, { env }: Invocation): Promise<void> {
  const config = readConfig(env, ['projectId', 'pubsubEmulator', 'completionsTopic']);
  await reachPubSub(config);
  const [{ PubSubChannel }, { watchTopic }] = await Promise.all([
    import('../adapters/pubsub/channel.js'),
    import('../adapters/pubsub/watch-topic.js'),
  ]);
  const { signal: ending } = anyOf([
    untilInterrupted(),
    ...(flags.seconds === undefined ? [] : [AbortSignal.timeout(flags.seconds * 1_000)]),
  ]);
  const channel = new PubSubChannel({ projectId: config.projectId, emulator: config.pubsubEmulator });
  const what = `topic ${config.completionsTopic}`;
  try {
    const told = printer(flags);
    const onError = (error: unknown) => say(`imagen: ${(error as Error).message}`);
    const watching = await watchTopic(channel, config.completionsTopic, told.tell, onError);
    say(`watching ${what}; Ctrl-C ends it`);
    try {
      const ended = new Promise<undefined>((resolve) => {
        if (ending.aborted) resolve(undefined);
        ending.addEventListener('abort', () => resolve(undefined), { once: true });
      });
      const broken = await Promise.race([ended, told.enough, watching.closed]);
      if (broken) throw new CommandFailed(`no more completions come: ${broken.message}`);
    } finally {
      await watching.stop();
    }
  } catch (thrown) {
    throw thrown instanceof CommandFailed ? thrown : pubSubFailed(thrown, config, what);
  } finally {
    channel.close();
  }
}

/** Prints what matches, each outcome once. `enough` resolves at the limit. */
function printer(flags: Flags) {
  const seen = new Set<string>();
  const groups = new Set<string>();
  let reached: (value: undefined) => void = () => undefined;
  const enough = new Promise<undefined>((resolve) => (reached = resolve));
  /** It is no job, so no filter but that of the group lets it pass, and it does not count. */
  const tellGroup = ({ data, attributes }: Delivery) => {
    const { status, code, model, prefix, group, tenant } = flags;
    if ([status, code, model, prefix, tenant].some((given) => given !== undefined)) return;
    if (group !== undefined && group !== attributes.groupId) return;
    const text = data.toString('utf8');
    if (!groups.has(text)) {
      if (flags.json) printJson(JSON.parse(text), 0);
      else print(`group ${attributes.groupId ?? ''} has ended: ${countsIn(text)}`);
    }
    groups.add(text);
  };
  const tell = (delivery: Delivery) => {
    if (seen.size === flags.limit) return;
    const body = parse(delivery);
    if (delivery.attributes.type === 'group') {
      tellGroup(delivery);
      return;
    }
    if (!body || seen.has(body.eventId) || !isWanted(body, delivery, flags)) return;
    seen.add(body.eventId);
    if (flags.json) printJson(body, 0);
    else print(describe(body));
    if (seen.size === flags.limit) reached(undefined);
  };
  return { tell, enough };
}

function isWanted(completion: Completion, { attributes: { model } }: Delivery, flags: Flags): boolean {
  const facts = factsOf({ fingerprint: null, completion, model });
  return matches(facts, filterOf(flags)) && (completion.jobId ?? '').startsWith(flags.prefix ?? '');
}

function countsIn(text: string): string {
  const { counts } = groupCompletionSchema.parse(JSON.parse(text));
  return STATUSES.map((status) => `${counts[status]} ${status}`).join(', ');
}

function describe(completion: Completion): string {
  return `${completion.jobId ?? `message ${completion.messageId ?? ''}`}: ${describeEnd(completion)}`;
}

function parse({ data }: Delivery): Completion | undefined {
  try {
    const body = JSON.parse(data.toString('utf8')) as Completion | null;
    return typeof body?.eventId === 'string' ? body : undefined;
  } catch {
    return undefined; // somebody else's
  }
}
