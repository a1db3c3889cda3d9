import { Command } from 'commander';
import { createClient } from '../client/client.js';
import { isJobId } from '../domain/job.js';
import { type Invocation, UsageError } from './usage.js';

const LIMIT_MS = 30_000;

export function cancelCommand(invocation: Invocation): Command {
  return new Command('cancel')
    .description('end a job as canceled, wherever it is; the worker that meets it publishes the completion')
    .argument('<jobId>')
    .option('--force', 'also if nothing is known of such a job: another program may have published it, or will')
    .action(async (jobId: string, { force = false }: { readonly force?: boolean }) => {
      if (!isJobId(jobId)) throw new UsageError(`${jobId}: not a job id`);
      const client = createClient({ env: invocation.env });
      try {
        const done = await client.cancel(jobId, { force, signal: AbortSignal.timeout(LIMIT_MS) });
        if (done.state === 'canceled') {
          console.log(`${jobId}: canceled`);
          return;
        }
        invocation.exitCode = 1;
        if (done.state === 'ended before') {
          console.error(`${jobId}: has ended already: ${done.completion.status}`);
        } else {
          console.error(
            `imagen: no job ${jobId} is known: it has no record, and \`imagen submit\` has not published it. ` +
              'If another program has, or will, cancel it with --force.',
          );
        }
      } finally {
        await client.close();
      }
    });
}
