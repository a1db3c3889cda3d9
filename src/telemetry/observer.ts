import type { Step } from '../domain/completion.js';
import { JobError } from '../domain/errors.js';
import type { Observer } from '../worker/handle.js';
import type { Logger } from './logger.js';
import type { Metrics } from './metrics/index.js';

/** One log line and one count for every message's end. */
export function createObserver(log: Logger, metrics: Metrics): Observer {
  return {
    received: ({ attempt }) => metrics.received(attempt),
    ended({ completion, delivery, model, version, replay, tookMs, publishMs }) {
      const { jobId, eventId, status, error, steps, timingsMs } = completion;
      const last = steps?.at(-1);
      const arm = last && last.model === model ? armOf(last) : undefined;
      log[error === undefined ? 'info' : 'warn'](
        {
          ...{ jobId, eventId, messageId: delivery.messageId, attempt: delivery.attempt, replay },
          ...{ status, error, model, version, arm, steps },
          timingsMs: { ...timingsMs, publish: Math.round(publishMs), sinceReceipt: Math.round(tookMs) },
        },
        'job ended',
      );
      metrics.jobEnded({ completion, model, version, arm, replay, tookMs, publishMs });
    },
    deadLettered({ error }) {
      metrics.deadLettered(error?.code ?? '');
    },
    deferred({ messageId, attempt }, error) {
      // At a level that alarms nobody, and in few words: what is down is told apart, and once.
      log.info({ messageId, attempt, code: codeOf(error), reason: error.message }, 'message put back into the queue');
      metrics.jobDeferred(codeOf(error));
    },
    givenBack({ messageId, attempt }, error) {
      log.warn({ messageId, attempt, code: codeOf(error), error }, 'message given back');
      metrics.jobGivenBack(codeOf(error));
    },
  };
}

/** The name by which metrics and logs know an arm. */
function armOf({ experiment, arm }: Step): string | undefined {
  return experiment === undefined || arm === undefined ? arm : `${experiment}/${arm}`;
}

/** @returns the code of an error of ours, the name of any other */
export function codeOf(error: unknown): string {
  if (error instanceof JobError) return error.code;
  return error instanceof Error ? error.name : 'unknown';
}
