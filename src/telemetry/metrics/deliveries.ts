/** Metrics of messages received from Pub/Sub and returned to it. */
import { ERROR_CODES, ERRORS } from '../../domain/errors.js';
import { IGNORED, type IgnoredReason } from '../../domain/notification.js';
import type { Families } from './families.js';
import type { Labels } from './labels.js';

export function deliveryMetrics(families: Families, labels: Labels) {
  const deliveries = families.counter('imagen_deliveries_total', 'Messages received');
  const redeliveries = families.counter(
    'imagen_redeliveries_total',
    'Of those, the ones that had been delivered before, by the attempt that Pub/Sub counts',
  );
  const deferred = families.counter(
    'imagen_deferred_total',
    'Messages that were put back into the queue because their job could not be done then, by the reason',
    ['code'],
    () => ERROR_CODES.filter((code) => ERRORS[code].verdict === 'defer').map((code) => ({ code })),
  );
  const unreadable = families.counter(
    'imagen_unreadable_records_total',
    'Times that something else was found in the place of a job’s record, at each look',
  );
  const givenBack = families.counter(
    'imagen_given_back_total',
    'Deliveries that were nacked to be tried again, by the reason',
    ['code'],
  );
  const ignored = families.counter(
    'imagen_notifications_ignored_total',
    'Notifications of buckets that are no jobs, by the reason: a deletion, a result or a record of this service, a folder, an object for which nobody has named operations',
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
    'Messages whose lease had run out while they were in work, so that another worker may have them too',
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
