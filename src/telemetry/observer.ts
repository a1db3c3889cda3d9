import { JobError } from '../domain/errors.js';
import { armLabel } from '../domain/experiment.js';
import type { Observer } from '../worker/context.js';
import type { Logger } from './logger.js';
import type { Metrics } from './metrics/index.js';

/** Writes one log line and counts one metric for the end of every message. */
export function createObserver(log: Logger, metrics: Metrics): Observer {
  return {
    received: ({ attempt }) => metrics.received(attempt),
    ignored({ messageId, attributes }, reason) {
      const { bucketId, objectId, eventType } = attributes;
      log.debug({ messageId, bucketId, objectId, eventType, reason }, 'notification ignored');
      metrics.ignored(reason);
    },
    ended({ completion, delivery, model, last, replay, tookMs, publishMs }) {
      const { jobId, tenant, eventId, status, error, steps, timingsMs } = completion;
      const version = last?.version;
      const arm = last?.arm && armLabel(last.arm);
      log[error === undefined ? 'info' : 'warn'](
        {
          ...{ jobId, tenant, eventId, messageId: delivery.messageId, attempt: delivery.attempt, replay },
          ...{ status, error, model, version, arm, steps },
          timingsMs: { ...timingsMs, publish: Math.round(publishMs), sinceReceipt: Math.round(tookMs) },
        },
        'job ended',
      );
      metrics.jobEnded({ completion, model, version, arm, replay, tookMs, publishMs });
      if (!replay) metrics.tenantServed(completion);
    },
    deadLettered({ error }) {
      metrics.deadLettered(error?.code ?? '');
    },
    unreadable({ messageId, attempt }, error, jobId) {
      log.warn({ jobId, messageId, attempt, code: codeOf(error), reason: error.message }, 'the record cannot be read');
      metrics.recordUnreadable();
    },
    putBack({ messageId, attempt }, error, jobId) {
      // The line is short and at info level, because another line reports the outage once.
      log.info(
        { jobId, messageId, attempt, code: codeOf(error), reason: error.message },
        'message put back into the queue',
      );
      metrics.jobDeferred(codeOf(error));
    },
    givenBack({ messageId, attempt }, error, jobId) {
      log.warn({ jobId, messageId, attempt, code: codeOf(error), error }, 'message given back');
      metrics.jobGivenBack(codeOf(error));
    },
  };
}

/** @returns the code of a JobError, the name of any other error */
export function codeOf(error: unknown): string {
  if (error instanceof JobError) return error.code;
  return error instanceof Error ? error.name : 'unknown';
}
