import { Command } from 'commander';
import type { Canceled } from '../client/cancel.js';
import { connected } from './connected.js';
import { jobIdOf } from './job-filter.js';
import { print, printJson, say } from './output.js';
import { type Invocation, withHelp } from './usage.js';

const LIMIT_MS = 30_000;

interface Flags {
  readonly force?: boolean;
  readonly json?: boolean;
}

export function cancelCommand(invocation: Invocation): Command {
  const command = new Command('cancel')
    .argument('<jobId>', 'its id', jobIdOf)
    .option('--force', 'cancel the job even if it is not known, because another program has published it, or will')
    .option('--json', 'print one JSON document')
    .action((jobId: string, { force = false, json = false }: Flags) =>
      connected(invocation, async (client) => {
        const done = await client.cancel(jobId, { force, signal: AbortSignal.timeout(LIMIT_MS) });
        if (done.state !== 'canceled') invocation.exitCode = 1;
        if (json) printJson({ jobId, ...done });
        else if (done.state === 'canceled') print(`${jobId}: canceled`);
        else say(whyNot(jobId, done));
      }),
    );
  return withHelp(command, ['cancel order-8841.front', 'cancel order-8841.front --force'], {
    1: 'it was not canceled: it had ended before, or nothing is known of it',
  });
}

function whyNot(jobId: string, done: Exclude<Canceled, { state: 'canceled' }>): string {
  if (done.state === 'ended before') return `${jobId}: has ended already: ${done.completion.status}`;
  return (
    `imagen: no job ${jobId} is known: it has no record, and \`imagen submit\` has not published it. ` +
    'If another program has, or will, cancel it with --force.'
  );
}
