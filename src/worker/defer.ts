/**
 * Deferral: a message is published anew and acked, instead of being nacked, when its job cannot be done now through no
 * fault of its own. Nacks count as delivery attempts, and an outage of some minutes would use them all up. What the copy
 * must know of its former lives travels in its attributes.
 */
import type { Delivery } from '../domain/ports.js';

const NAMES = {
  deferrals: 'deferrals',
  since: 'deferredSince',
  attempts: 'attempts',
  publishedAt: 'publishedAt',
  messageId: 'messageId',
} as const;

const CLOCKS_APART_MS = 60_000;
/** More than any subscription permits. */
const MOST_ATTEMPTS = 1_000;

/**
 * A delivery as one of a message that has never been deferred: with its first id and time, and the attempts of all its
 * lives. Attributes that make no sense, which anybody may publish, count as absent.
 */
export function undeferred(delivery: Delivery): Delivery {
  const { attributes, attempt } = delivery;
  if (deferredForMs(delivery) === undefined) return delivery;
  return {
    ...delivery,
    messageId: attributes[NAMES.messageId] ?? delivery.messageId,
    publishedAt: time(attributes[NAMES.publishedAt]) ?? delivery.publishedAt,
    // A subscription that does not count still does not.
    attempt: attempt === 0 ? 0 : attempt + (wholeNumber(attributes[NAMES.attempts], MOST_ATTEMPTS) ?? 0),
  };
}

/** How long ago the message was first deferred, in milliseconds; undefined when it never was. */
export function deferredForMs({ attributes }: Delivery): number | undefined {
  const since = time(attributes[NAMES.since]);
  return since && Date.now() - since.getTime();
}

/**
 * The attributes of the copy. This delivery is not counted among its attempts: it has not failed.
 * @param delivery as `undeferred` gives it
 * @throws Error when it has too many attributes of its own
 */
export function deferredAttributes(delivery: Delivery): Record<string, string> {
  const { attributes, attempt, publishedAt, messageId } = delivery;
  const own = ownAttributes(delivery);
  // A subscription's filter may go by any of them, so none may be left out.
  if (Object.keys(own).length > MOST_OWN)
    throw new Error(`expected at most ${MOST_OWN} attributes on what is put back`);
  return {
    ...own,
    [NAMES.deferrals]: String((wholeNumber(attributes[NAMES.deferrals], Number.MAX_SAFE_INTEGER - 1) ?? 0) + 1),
    [NAMES.since]: String(time(attributes[NAMES.since])?.getTime() ?? Date.now()),
    [NAMES.attempts]: String(Math.max(0, attempt - 1)),
    [NAMES.publishedAt]: String(publishedAt.getTime()),
    [NAMES.messageId]: messageId,
  };
}

/** What Pub/Sub permits. */
const MOST_ATTRIBUTES = 100;
const MOST_OWN = MOST_ATTRIBUTES - Object.keys(NAMES).length;

/**
 * The attributes that the message came with, to be published again, but for what deferrals have put there. The service
 * reserves names that begin with "goog", so those that the client libraries added stay behind, too; but the trace that they
 * name goes on under W3C's names.
 */
export function ownAttributes({ attributes }: Delivery): Record<string, string> {
  const ours = Object.values<string>(NAMES);
  const own = Object.entries(attributes).filter(([name]) => !ours.includes(name) && !/^goog/i.test(name));
  const inTrace = [...traceOf(attributes), ...own];
  return Object.fromEntries(inTrace.length > MOST_OWN ? own : inTrace);
}

function traceOf(attributes: Delivery['attributes']): [string, string][] {
  if ('traceparent' in attributes) return [];
  return ['traceparent', 'tracestate'].flatMap((name): [string, string][] => {
    const value = attributes[`googclient_${name}`];
    return value === undefined ? [] : [[name, value]];
  });
}

function wholeNumber(text: string | undefined, most: number): number | undefined {
  const number = text !== undefined && /^[0-9]{1,16}$/.test(text) ? Number(text) : NaN;
  return number <= most ? number : undefined;
}

/** A time of the past, from milliseconds since 1970; another worker's clock may be a little ahead. */
function time(text: string | undefined): Date | undefined {
  const ms = wholeNumber(text, Date.now() + CLOCKS_APART_MS);
  return ms === undefined ? undefined : new Date(Math.min(ms, Date.now()));
}
