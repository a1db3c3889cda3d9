/** Metrics of messages received from Pub/Sub and returned to it. */
import { ERROR_CODES, ERRORS } from '../../domain/errors.js';
import { IGNORED, type IgnoredReason } from '../../domain/notification.js';
import type { Families } from './families.js';
import type { Labels } from './labels.js';

export function deliveryMetrics(families: Families, labels: Labels) {
  const deliveries = families.counter('imagen_deliveries_total', 'Messages received');
  const redeliveries = families.counter(
    'imagen_redeliveries_total',
    'Messages received that had been delivered before, by the attempt that Pub/Sub counts',
  );
  const deferred = families.counter(
    'imagen_deferred_total',
    'Messages that the worker put back into the queue because it could not do their job then, by reason',
    ['code'],
    () => ERROR_CODES.filter((code) => ERRORS[code].verdict === 'defer').map((code) => ({ code })),
  );
  const unreadable = families.counter(
    'imagen_unreadable_records_total',
    'Times that a worker found something else in the place of a job’s record',
  );
  const givenBack = families.counter(
    'imagen_given_back_total',
    'Deliveries that were nacked, so that Pub/Sub delivers them again, by reason',
    ['code'],
  );
  const ignored = families.counter(
    'imagen_notifications_ignored_total',
    'Notifications of buckets that are not jobs, by reason: a deletion, a result or a record of this service, a folder, an object without operations',
    ['reason'],
    () => IGNORED.map((reason) => ({ reason })),
  );
  const deadLetters = families.counter(
    'imagen_dead_letters_total',
    'Dead letters published by this worker',
    ['code'],
    () => ERROR_CODES.filter((code) => ERRORS[code].verdict === 'reject').map((code) => ({ code })),
  );
  const extensions = families.counter(
    'imagen_lease_extensions_total',
    'Times that Pub/Sub confirmed a longer lease of a message in work',
  );
  const lost = families.counter(
    'imagen_leases_lost_total',
    'Messages whose lease ran out while they were in work, so that another worker may get them, too',
  );

  return {
    received(attempt: number): void {
      deliveries.inc();
      if (attempt > 1) redeliveries.inc();
    },
    ignored: (reason: IgnoredReason) => ignored.inc({ reason }),
    jobDeferred: (code: string) => deferred.inc({ code: labels.code(code) }),
    recordUnreadable: () => unreadable.inc(),
    jobGivenBack: (code: string) => givenBack.inc({ code: labels.code(code) }),
    deadLettered: (code: string) => deadLetters.inc({ code: labels.code(code) }),
    leaseExtended: () => extensions.inc(),
    leaseLost: () => lost.inc(),
  };
}
