/**
 * Deferral: if a job cannot be done now through no fault of its own, the worker publishes its message again and acks it
 * instead of nacking it. Nacks count as delivery attempts, and an outage of a few minutes would use them all up. The
 * attributes of the copy carry its history.
 */
import { type ErrorCode, ERRORS, JobError, STAGES } from '../domain/errors.js';
import type { Delivery } from '../domain/ports.js';
import { isPartOf } from '../scheduling/needs.js';
import type { Precautions } from './precautions.js';
import { MOST_UNSEEN_MS } from './sightings.js';

const NAMES = {
  deferrals: 'deferrals',
  since: 'deferredSince',
  /** The need that was away when the message was last put back. */
  missing: 'deferredFor',
  attempts: 'attempts',
  publishedAt: 'publishedAt',
  messageId: 'messageId',
  /** The error for which it was last put back, as JSON. */
  lastError: 'lastError',
} as const;

/** Fields of the last error that hold the precautions. */
const PRECAUTIONS = { apart: 'apart', alone: 'alone' } as const;

const CLOCKS_APART_MS = 60_000;
/** More than any subscription permits. */
const MOST_ATTEMPTS = 1_000;
/** Pub/Sub limits the value of an attribute to 1,024 bytes. */
const MOST_ERROR_BYTES = 1_000;

/**
 * Restores the delivery of a message that was put back, as if it had never been: with its first id and time, and the
 * attempts of the original and all copies. Any publisher can set attributes, so invalid ones count as absent.
 */
export function undeferred(delivery: Delivery): Delivery {
  const { attributes, attempt } = delivery;
  if (time(attributes[NAMES.since]) === undefined) return delivery;
  const former = wholeNumber(attributes[NAMES.attempts], MOST_ATTEMPTS) ?? 0;
  return {
    ...delivery,
    messageId: attributes[NAMES.messageId] ?? delivery.messageId,
    publishedAt: time(attributes[NAMES.publishedAt]) ?? delivery.publishedAt,
    // If a subscription does not count attempts, the attempt stays 0, unless attempts were counted when it was put back.
    attempt: attempt === 0 && former > 0 ? former + 1 : attempt + former,
  };
}

/** What this worker knows of a need that is away. All times are by `Date.now()`. */
export interface Known {
  /** When this worker last used it successfully. */
  readonly usedAt?: number | undefined;
  /** Since when this worker has found it away, without a break. */
  readonly awaySince: number;
  /** When the message arrived here. */
  readonly arrivedAt: number;
}

/**
 * How long a need of the job has been continuously away, in milliseconds. The time for which the message lay in the backlog
 * counts if it was short, or if this worker found the need away meanwhile. Otherwise nobody knows how the need was then.
 * @param missing label of what is away now; absent if nothing is
 * @returns 0 if the job was never put back, or was put back for something else
 */
export function awayForMs(
  { attributes, publishedAt }: Delivery,
  missing: string | undefined,
  { usedAt = -Infinity, awaySince, arrivedAt }: Known,
): number {
  const since = time(attributes[NAMES.since])?.getTime();
  if (missing === undefined || since === undefined || usedAt > since) return 0;
  const before = attributes[NAMES.missing];
  // Workers before 0.2 did not record what was away.
  if (before !== undefined && before !== missing) return 0;
  const unseenMs = Math.min(arrivedAt, awaySince) - publishedAt.getTime();
  return Math.max(0, Date.now() - since - (unseenMs > MOST_UNSEEN_MS ? unseenMs : 0));
}

/**
 * What has been continuously away, given what is found to be away now. While a whole is away, its parts are too. If the
 * message was put back for a part before, the time of that part continues.
 */
export function missingNow({ attributes }: Delivery, found: string | undefined): string | undefined {
  const before = attributes[NAMES.missing];
  return before !== undefined && found !== undefined && isPartOf(before, found) ? before : found;
}

/** How often the message has been put back. */
export function deferralsOf({ attributes }: Delivery): number {
  return wholeNumber(attributes[NAMES.deferrals], Number.MAX_SAFE_INTEGER - 1) ?? 0;
}

/** Why the message was last put back, for a job that has used up its attempts. */
export function lastErrorOf(delivery: Delivery): JobError | undefined {
  const { code, stage, message } = lastError(delivery);
  if (typeof code !== 'string' || !Object.hasOwn(ERRORS, code) || typeof message !== 'string') return undefined;
  const known = STAGES.find((one) => one === stage);
  return new JobError(code as ErrorCode, message, known ? { stage: known } : {});
}

/** The precautions that the worker which put the message back has left for the next one. */
export function precautionsOf(delivery: Delivery): Precautions {
  const error = lastError(delivery);
  const suspectSince = performance.now() - Math.max(0, Date.now() - delivery.publishedAt.getTime());
  return {
    ...(error[PRECAUTIONS.apart] === true ? { suspectSince } : {}),
    ...(error[PRECAUTIONS.alone] === true ? { alone: true } : {}),
  };
}

/** Any publisher can set attributes, so there may be anything in it. */
function lastError({ attributes }: Delivery): Readonly<Record<string, unknown>> {
  try {
    const found: unknown = JSON.parse(attributes[NAMES.lastError] ?? '{}');
    return typeof found === 'object' && found !== null ? (found as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

export interface PutBack {
  readonly error: Error;
  /** Label of what is away; absent if nothing is. */
  readonly missing?: string | undefined;
  /** How long it has been continuously away, in milliseconds. */
  readonly awayMs: number;
  /** Whether this delivery counts as an attempt, because the job itself may be the cause. */
  readonly counts: boolean;
  readonly precautions?: Precautions;
}

/**
 * The attributes of the copy.
 * @param delivery from `undeferred`
 * @throws Error if it has too many attributes of its own
 */
export function deferredAttributes(delivery: Delivery, { error, missing, awayMs, counts, precautions = {} }: PutBack) {
  const { attempt, publishedAt, messageId } = delivery;
  const own = ownAttributes(delivery);
  // A subscription's filter may use any of them, so none may be left out.
  if (Object.keys(own).length > MOST_OWN)
    throw new Error(`expected at most ${MOST_OWN} attributes on what is put back`);
  const made = counts ? Math.max(1, attempt) : Math.max(0, attempt - 1);
  return {
    ...own,
    [NAMES.deferrals]: String(deferralsOf(delivery) + 1),
    [NAMES.since]: String(Date.now() - Math.max(0, Math.round(awayMs))),
    [NAMES.missing]: missing ?? '',
    [NAMES.attempts]: String(made),
    [NAMES.publishedAt]: String(publishedAt.getTime()),
    [NAMES.messageId]: messageId,
    ...lastErrorAfter(delivery, error, precautions),
  };
}

/** An error that says nothing about the job leaves the one before in place. */
function lastErrorAfter({ attributes }: Delivery, error: Error, precautions: Precautions): Record<string, string> {
  const before = attributes[NAMES.lastError];
  if (error instanceof JobError) return { [NAMES.lastError]: describe(error, precautions) };
  return before === undefined ? {} : { [NAMES.lastError]: before };
}

function describe({ code, stage, message }: JobError, { suspectSince, alone }: Precautions): string {
  const precautions = {
    ...(suspectSince === undefined ? {} : { [PRECAUTIONS.apart]: true }),
    ...(alone ? { [PRECAUTIONS.alone]: true } : {}),
  };
  for (let length = message.length; ; length = Math.floor(length * 0.8)) {
    const text = JSON.stringify({ code, stage, message: message.slice(0, length), ...precautions });
    if (Buffer.byteLength(text) <= MOST_ERROR_BYTES) return text;
  }
}

/** Pub/Sub's limit on the attributes of a message. */
const MOST_ATTRIBUTES = 100;
const MOST_OWN = MOST_ATTRIBUTES - Object.keys(NAMES).length;

/**
 * The message's own attributes, to publish again, without those that deferrals added. The service reserves names that begin
 * with "goog", so the attributes that the client libraries added are left out too. The trace that they name continues under
 * W3C's names.
 */
export function ownAttributes({ attributes }: Delivery): Record<string, string> {
  const ours = Object.values<string>(NAMES);
  const own = Object.entries(attributes).filter(([name]) => !ours.includes(name) && !/^goog/i.test(name));
  const inTrace = [...traceOf(attributes), ...own];
  return Object.fromEntries(inTrace.length > MOST_OWN ? own : inTrace);
}

/** The attributes that the publisher chose: without what this service and tracing added. */
export function publishersAttributes(delivery: Delivery): Record<string, string> {
  const own = Object.entries(ownAttributes(delivery));
  return Object.fromEntries(own.filter(([name]) => name !== 'traceparent' && name !== 'tracestate'));
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

/** Parses a time in the past from milliseconds since 1970. Another worker's clock may be slightly ahead. */
function time(text: string | undefined): Date | undefined {
  const ms = wholeNumber(text, Date.now() + CLOCKS_APART_MS);
  return ms === undefined ? undefined : new Date(Math.min(ms, Date.now()));
}
