/**
 * Checks the arguments of the client's functions when they are called. Programs in JavaScript, and casts, let through what
 * the types forbid, and a wrong option would otherwise be ignored or end in a wait without an end.
 */
import { z } from 'zod';
import { STATUSES } from '../domain/completion.js';
import { ERROR_CODES } from '../domain/errors.js';
import { describeIssues, show } from '../domain/issues.js';
import { groupSchema, isBeginningOfJobId, isJobId, tenantSchema } from '../domain/job.js';
import { nearest } from '../domain/nearest.js';
import { requestOf } from '../records/request.js';
import { ClientError } from './errors.js';

/** An optional field. @param what completes the sentence "expected …" */
export function expected<T>(what: string, is: (value: unknown) => boolean) {
  return z.custom<T>(is, { error: ({ input }) => `expected ${what}, given ${show(input)}` }).optional();
}

function wholeNumber(least: number, most: number) {
  const is = (value: unknown) => Number.isSafeInteger(value) && least <= Number(value) && Number(value) <= most;
  return expected<number>(`a whole number from ${least} to ${most}`, is);
}

const callback = expected('a function', (value) => typeof value === 'function');
const flag = expected<boolean>('true or false', (value) => typeof value === 'boolean');
const date = expected<Date>('a date', (value) => value instanceof Date && !Number.isNaN(value.getTime()));
/** Not `instanceof`: test environments have a class AbortSignal of their own. */
const signal = expected<AbortSignal>(
  'an AbortSignal',
  (value) => isObject(value) && typeof value.aborted === 'boolean' && typeof value.addEventListener === 'function',
);
const jobId = expected<string>('a job id', (value) => typeof value === 'string' && isJobId(value));
const beginningOfId = expected<string>(
  'the beginning of a job id',
  (value) => typeof value === 'string' && isBeginningOfJobId(value),
);
const deadline = expected<string>('a time to come, such as 2026-12-01T12:00:00Z', (value) => {
  return z.iso.datetime({ offset: true }).safeParse(value).success && Date.parse(value as string) > Date.now();
});
const path = expected<string>('a path', (value) => typeof value === 'string' && value !== '');

const MOST_UPLOADS = 1_000;
const MOST_IN_WINDOW = 1_000_000;

/** The options of each function. */
export const OPTIONS_OF = {
  submit: z.strictObject({ signal, republish: flag, onUpload: callback }),
  submitAll: z.strictObject({
    ...{ signal, republish: flag, wait: flag, onProgress: callback, onSubmitted: callback },
    ...{ uploads: wholeNumber(1, MOST_UPLOADS), window: wholeNumber(1, MOST_IN_WINDOW) },
  }),
  waitForGroup: z.strictObject({ signal, onPause: callback }),
  wait: z.strictObject({ signal, onPause: callback, by: z.enum(['record', 'completions']).optional() }),
  cancel: z.strictObject({ signal, force: flag }),
  redrive: z.strictObject({ signal, dryRun: flag, force: flag, deadline }),
  redriveAll: z.strictObject({ signal, dryRun: flag, force: flag, deadline, onUnreadable: callback }),
  jobs: z.strictObject({ signal, after: jobId, skip: callback, onUnreadable: callback }),
  status: z.strictObject({ signal }),
  download: z.strictObject({ signal, to: path }),
};

const FILTER = z.strictObject({
  ...{ status: z.array(z.enum(STATUSES)).optional(), code: z.array(z.enum(ERROR_CODES)).optional() },
  ...{ model: z.array(z.string()).optional(), since: date, until: date, prefix: beginningOfId },
  group: groupSchema.shape.id.optional(),
  tenant: tenantSchema.optional(),
});

/** @returns one sentence for each fault, with the path of its field */
export function problemsOf(schema: z.ZodObject, given: unknown, base: readonly string[]): string[] {
  const parsed = schema.safeParse(given, { reportInput: true });
  return (parsed.error?.issues ?? []).flatMap((issue) => {
    if (issue.code !== 'unrecognized_keys') return describeIssues([issue], base);
    return issue.keys.map((key) => {
      const meant = nearest(key, Object.keys(schema.shape));
      const hint = meant === undefined ? `expected one of ${Object.keys(schema.shape).join(', ')}` : `is it ${meant}?`;
      return `${[...base, key].join('.')}: unknown option: ${hint}`;
    });
  });
}

/** @throws ClientError `INVALID_ARGUMENT` that names every option that is wrong or unknown */
export function checkOptions(of: keyof typeof OPTIONS_OF, given: unknown): void {
  if (given !== undefined) refuse(problemsOf(OPTIONS_OF[of], given, ['options']));
}

/** @throws ClientError `INVALID_ARGUMENT` */
export function checkFilter(given: unknown): void {
  refuse(problemsOf(FILTER, given, ['filter']));
}

/** @throws ClientError `INVALID_ARGUMENT` if it cannot be the id of a job */
export function checkJobId(given: unknown, name = 'jobId'): void {
  if (typeof given !== 'string' || !isJobId(given)) refuse([`${name}: expected a job id, given ${show(given)}`]);
}

/**
 * Checks a job that is given by its id or as an object with its id.
 * @throws ClientError `INVALID_ARGUMENT`
 */
export function checkJob(given: unknown): void {
  if (!isObject(given)) {
    checkJobId(given, 'job');
    return;
  }
  const { jobId: id, fingerprint, request } = given;
  checkJobId(id, 'job.jobId');
  if (fingerprint !== undefined && typeof fingerprint !== 'string') {
    refuse([`job.fingerprint: expected a text, given ${show(fingerprint)}`]);
  }
  if (request !== undefined && !requestOf({ request: request as never })) {
    refuse([`job.request: expected a message that was published, given ${show(request)}`]);
  }
}

/** @throws ClientError `INVALID_ARGUMENT` if it is neither an id nor a completion */
export function checkEnded(given: unknown): void {
  if (!isObject(given)) checkJobId(given, 'job');
}

/** @throws ClientError `INVALID_ARGUMENT` if it is no group with a total */
export function checkCountedGroup(given: unknown): void {
  const parsed = groupSchema.required().safeParse(given, { reportInput: true });
  if (!parsed.success) refuse(describeIssues(parsed.error.issues, ['group']));
}

/** @throws ClientError `INVALID_ARGUMENT` if it does not give requests one after the other */
export function checkRequests(given: unknown): void {
  const gives = isObject(given) && (Symbol.asyncIterator in given || Symbol.iterator in given);
  if (!gives || given instanceof Uint8Array) {
    refuse([`requests: expected an iterable of requests, given ${show(given)}`]);
  }
}

function refuse(problems: readonly string[]): void {
  if (problems.length > 0) throw new ClientError('INVALID_ARGUMENT', problems.join('; '));
}

function isObject(value: unknown): value is Readonly<Record<PropertyKey, unknown>> {
  return typeof value === 'object' && value !== null;
}
