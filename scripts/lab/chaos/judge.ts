/** The invariant, as a pure function of what outsiders have seen. */
import type { Completion } from '../../../src/domain/completion.js';
import { decodeRecord } from '../../../src/records/record.js';
import type { Expected, PlannedJob } from './load.js';

export interface Evidence {
  readonly accepted: readonly Accepted[];
  readonly completions: readonly string[];
  readonly deadLetters: readonly Readonly<Record<string, string>>[];
  readonly records: ReadonlyMap<string, string>;
  readonly results: readonly StoredObject[];
  /** What `imagen cancel` has said, by job id: whether the job ends as canceled. */
  readonly canceled: ReadonlyMap<string, boolean>;
  readonly leftOver: readonly string[];
}

export interface Accepted {
  readonly job: PlannedJob;
  readonly messageId: string;
  readonly body: string;
}

export type StoredObject = Pick<NonNullable<Completion['output']>, 'uri' | 'generation' | 'bytes' | 'crc32c'>;

type Seen = Completion & { readonly body: string };

export function judge(evidence: Evidence) {
  /** Accepted, and nobody will ever hear how it ended. */
  const lost: string[] = [];
  /** Two different things said about one job. */
  const conflicting: string[] = [];
  /** One outcome, but not the one that it must be; `wronglyFailed` are the jobs of those that should have succeeded. */
  const unexpected: string[] = [];
  const wronglyFailed: string[] = [];
  const seen = evidence.completions.map((body): Seen => ({ ...(JSON.parse(body) as Completion), body }));
  const byJob = groupBy(seen, ({ jobId }) => jobId);
  const byMessage = groupBy(seen, ({ messageId }) => messageId);

  for (const [eventId, same] of groupBy(seen, (one) => one.eventId)) {
    if (new Set(same.map(({ body }) => body)).size > 1) conflicting.push(`event ${eventId} has several bodies`);
  }

  for (const [job, messages] of groupBy(evidence.accepted, (one) => one.job)) {
    const { jobId } = job;
    const name = jobId ?? `message ${messages[0]?.messageId ?? ''}`;
    const all = jobId === undefined ? (byMessage.get(messages[0]?.messageId) ?? []) : (byJob.get(jobId) ?? []);
    const outcomes = all.filter(({ error }) => error?.code !== 'JOB_ID_REUSED');
    const [outcome] = outcomes;
    if (!outcome) {
      lost.push(`${name}: no completion`);
      continue;
    }
    if (new Set(outcomes.map(({ eventId }) => eventId)).size > 1) conflicting.push(`${name}: several outcomes`);
    if (jobId !== undefined) {
      lost.push(...unansweredOf(messages, outcome, all).map((id) => `${name}: message ${id} has no answer`));
      conflicting.push(...contradictions(job, outcome, evidence).map((what) => `${name}: ${what}`));
    }
    const expected = evidence.canceled.get(name) ? ({ status: 'canceled' } as const) : job.expected;
    unexpected.push(...surprises(outcome, expected, evidence).map((what) => `${name}: ${what}`));
    if (expected.status === 'succeeded' && outcome.status !== 'succeeded') wronglyFailed.push(name);
  }

  unexpected.push(...strangers(seen, evidence));
  return { lost, conflicting, unexpected, wronglyFailed, unsettled: evidence.leftOver };
}

/** Messages of another job under the same id, which must each be told that it is taken. */
function unansweredOf(messages: readonly Accepted[], outcome: Seen, all: readonly Seen[]): string[] {
  // A cancellation holds for every message of the id. A record written before the first message names no message.
  if (outcome.status === 'canceled' || messages[0]?.job.record !== undefined) return [];
  const winner = messages.find(({ messageId }) => messageId === outcome.messageId);
  const told = new Set(all.filter(({ error }) => error?.code === 'JOB_ID_REUSED').map(({ messageId }) => messageId));
  return messages
    .filter(({ body, messageId }) => body !== winner?.body && !told.has(messageId))
    .map(({ messageId }) => messageId);
}

function contradictions({ kind }: PlannedJob, outcome: Seen, { records, results }: Evidence): string[] {
  const { jobId = '', output } = outcome;
  const found: string[] = [];
  const record = records.get(jobId);
  const decoded = record === undefined ? undefined : decodeRecord(Buffer.from(record));
  if (decoded === undefined) found.push('no record');
  else if (typeof decoded === 'string' || JSON.stringify(decoded.completion) !== outcome.body) {
    found.push('the record says something else');
  }
  if (outcome.status !== 'succeeded') return found;
  const stored = results.filter(({ uri }) => uri.includes(`/${jobId}/`));
  const object = stored.find(({ uri }) => uri === output?.uri);
  // Two jobs of one id may both have stored a result when the record of one decides. No worker may delete the other's.
  if (stored.length !== 1 && kind !== 'reused') found.push(`${stored.length} results`);
  for (const key of ['uri', 'generation', 'bytes', 'crc32c'] as const) {
    if (object?.[key] !== output?.[key]) found.push(`the result's ${key} is ${object?.[key] ?? ''}`);
  }
  return found;
}

function surprises(outcome: Seen, expected: Expected, { deadLetters }: Evidence): string[] {
  const { status, error, jobId, messageId } = outcome;
  const found: string[] = [];
  const code = error?.code;
  const asExpected = status === expected.status && (expected.codes ?? [undefined]).some((one) => one === code);
  if (!asExpected) found.push(`ended as ${status} ${code ?? ''}: ${error?.message ?? ''}`);
  const letters = deadLetters.filter((letter) =>
    jobId === undefined ? letter.messageId === messageId : letter.jobId === jobId,
  );
  if (expected.deadLetter && !letters.some(({ errorCode }) => errorCode === code)) found.push('no dead letter');
  if (!expected.deadLetter && letters.length > 0) found.push('a dead letter');
  return found;
}

/** Completions of what was never published, and dead letters that Pub/Sub itself has made, past our own limit. */
function strangers(seen: readonly Seen[], { accepted, deadLetters }: Evidence): string[] {
  const jobs = new Set(accepted.map(({ job }) => job.jobId));
  const messages = new Set(accepted.map(({ messageId }) => messageId));
  const known = ({ jobId, messageId }: Seen) => (jobId === undefined ? messages.has(messageId ?? '') : jobs.has(jobId));
  return [
    ...seen.filter((one) => !known(one)).map(({ eventId }) => `event ${eventId} is about nothing that was published`),
    ...deadLetters.filter(({ errorCode }) => errorCode === undefined).map(() => "a dead letter of Pub/Sub's own"),
  ];
}

export function groupBy<T, K>(list: readonly T[], keyOf: (one: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const one of list) groups.set(keyOf(one), [...(groups.get(keyOf(one)) ?? []), one]);
  return groups;
}
