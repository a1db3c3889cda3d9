import { Command } from 'commander';
import { createObjectStore } from '../adapters/gcs/store.js';
import { readConfig } from '../config/index.js';
import { eventIdOfJob } from '../domain/fingerprint.js';
import { isJobId, SCHEMA_VERSION } from '../domain/job.js';
import { decide } from '../records/decide.js';
import { type Invocation, UsageError } from './usage.js';

const LIMIT_MS = 30_000;

export function cancelCommand(invocation: Invocation): Command {
  return new Command('cancel')
    .description('end a job as canceled, wherever it is; the worker that meets it publishes the completion')
    .argument('<jobId>')
    .action(async (jobId: string) => {
      if (!isJobId(jobId)) throw new UsageError(`${jobId}: not a job id`);
      const config = readConfig(invocation.env, ['projectId', 'storageEmulator', 'statePrefix']);
      // Without a fingerprint, the record cancels every message with this id, even one that no worker has seen yet.
      const record = {
        fingerprint: null,
        completion: {
          schemaVersion: SCHEMA_VERSION as typeof SCHEMA_VERSION,
          eventId: eventIdOfJob(jobId, 'canceled'),
          jobId,
          status: 'canceled' as const,
        },
      };
      const signal = AbortSignal.timeout(LIMIT_MS);
      const decided = await decide(
        createObjectStore({ emulator: config.storageEmulator }),
        config.statePrefix,
        jobId,
        record,
        signal,
      );
      if (decided.record.completion.status === 'canceled') {
        console.log(`${jobId}: canceled`);
      } else {
        console.error(`${jobId}: has ended already: ${decided.record.completion.status}`);
        invocation.exitCode = 1;
      }
    });
}
