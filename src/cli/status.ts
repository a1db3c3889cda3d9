import { Command } from 'commander';
import { createClient } from '../client/client.js';
import { mapInOrder } from '../client/in-order.js';
import type { JobStatus } from '../client/status.js';
import type { Completion } from '../domain/completion.js';
import { JobError } from '../domain/errors.js';
import { jobIdsOf } from './job-filter.js';
import { connected } from './connected.js';
import { print, printJson } from './output.js';
import { type Invocation, withHelp } from './usage.js';

const AT_ONCE = 16;

type Looked = JobStatus | { readonly jobId: string; readonly state: 'unreadable'; readonly error: string };

export function statusCommand(invocation: Invocation): Command {
  const command = new Command('status')
    .argument('<jobId...>', 'one or more ids', jobIdsOf)
    .option('--json', 'print one JSON array')
    .action((jobIds: string[], { json }: { readonly json?: boolean }) =>
      connected(invocation, async (client) => {
        const found: Looked[] = [];
        for await (const one of mapInOrder(jobIds, AT_ONCE, (jobId) => look(client, jobId))) {
          found.push(one);
          if (!json) print(describe(one));
        }
        if (json) printJson(found);
        if (found.some(({ state }) => state === 'unknown' || state === 'unreadable')) invocation.exitCode = 1;
      }),
    );
  return withHelp(command, ['status order-8841.front', 'status --json a b c | jq -r ".[].state"'], {
    1: 'nothing is known of one of them, or its record cannot be read',
  });
}

async function look(client: ReturnType<typeof createClient>, jobId: string): Promise<Looked> {
  try {
    return await client.status(jobId);
  } catch (thrown) {
    if (!(thrown instanceof JobError) || thrown.code !== 'RECORD_UNREADABLE') throw thrown;
    return { jobId, state: 'unreadable', error: thrown.message };
  }
}

function describe(found: Looked): string {
  switch (found.state) {
    case 'unreadable':
      return `${found.jobId}: ${found.error}`;
    case 'unknown':
      return `${found.jobId}: unknown: no record, and \`imagen submit\` has not published it`;
    case 'submitted':
      return `${found.jobId}: published ${found.submittedAt ?? ''}, has not ended`;
    case 'ended':
      return `${found.jobId}: ${found.completion ? describeEnd(found.completion) : 'ended'}`;
  }
}

/** How a job ended, in one line. */
export function describeEnd({ status, error, output }: Completion): string {
  if (error) return `${status}: ${error.code}: ${error.message}`;
  return output ? `${status}: ${output.uri} (${output.width}x${output.height}, ${output.bytes} bytes)` : status;
}
