/**
 * The job message: its schema, and the one function that parses it.
 *
 *   job        one message: an input object, one or more operations, an output location
 *   operation  what the caller asks for; the Triton model of the same name serves it
 *
 * The schema is the single source. The type, the parser and the published JSON Schema come from it.
 */
import { z } from 'zod';
import { JobError } from './errors.js';
import { describeIssues } from './issues.js';
import { duplicateKey } from './json.js';
import { parseObjectUri, parsePrefix } from './uri.js';

export const SCHEMA_VERSION = 1;
export const MAX_MESSAGE_BYTES = 65_536;
export const MAX_METADATA_BYTES = 4_096;
/** Length to which an id that is not valid is cut, in characters. */
const MAX_GIVEN_ID = 128;
export const OUTPUT_FORMATS = ['png', 'jpeg', 'webp', 'avif'] as const;
/** Formats that the worker reads; it writes those of OUTPUT_FORMATS. */
export const INPUT_FORMATS = [...OUTPUT_FORMATS, 'tiff', 'gif'] as const;
export const PRIORITIES = ['interactive', 'batch'] as const;

export const MAX_GROUP_TOTAL = 1_000_000;

/** A job's own id. `~` is reserved for redrives: `<jobId>~r1`, published with `redriveOf: <jobId>`. */
const JOB_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;
const REDRIVE_ID = /^([A-Za-z0-9][A-Za-z0-9._:-]{0,127})~r[1-9][0-9]{0,3}$/;

/** Makes a zod check from a function that returns a sentence when the value is wrong. */
function checked(check: (value: string) => unknown) {
  return z.string().superRefine((value, ctx) => {
    const complaint = check(value);
    if (typeof complaint === 'string') ctx.addIssue({ code: 'custom', message: complaint });
  });
}

const modelName = z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, 'expected a model name: letters, digits, "_", "." or "-"');
const parameterValue = z.union([z.string().max(1024), z.number(), z.boolean()]);

const operationObject = z.strictObject({
  model: modelName,
  version: z
    .string()
    .regex(/^[1-9][0-9]{0,9}$/, 'expected a version number as a string, such as "2"')
    .optional(),
  parameters: z.record(z.string().min(1).max(64), parameterValue).optional(),
});

const output = z
  .strictObject({
    uri: checked(parseObjectUri).optional().describe('Exact address of the result'),
    prefix: checked(parsePrefix).optional().describe('The result becomes <prefix>/<jobId>/result.<ext>'),
    format: z.enum(OUTPUT_FORMATS).optional(),
    quality: z.int().min(1).max(100).optional(),
    background: z
      .string()
      .regex(/^#[0-9a-fA-F]{6}$/, 'expected a colour "#rrggbb"')
      .optional(),
    maskOnly: z.boolean().optional(),
    maxWidth: z.int().min(1).max(65_535).optional(),
    maxHeight: z.int().min(1).max(65_535).optional(),
    keepMetadata: z.boolean().optional(),
    keepHidden: z.boolean().optional().describe('Keep the colours beneath pixels that are wholly transparent'),
  })
  .refine((value) => value.uri === undefined || value.prefix === undefined, {
    message: 'expected either uri or prefix, given both',
  });

const label = z
  .string()
  .regex(JOB_ID, 'expected 1 to 128 characters: a letter or digit, then letters, digits, ".", "_", ":" or "-"');

export const groupSchema = z.strictObject({
  id: label.describe('Label of the jobs that belong together'),
  total: z.int().min(1).max(MAX_GROUP_TOTAL).optional().describe('Number of jobs in the group, if it is known'),
});

export const tenantSchema = label.describe('Customer that the job is for: tenants take turns at what a worker has');

export const jobSchema = z
  .strictObject({
    schemaVersion: z.literal(SCHEMA_VERSION).optional(),
    jobId: z
      .string()
      .refine(isJobId, {
        message:
          'expected 1 to 128 characters: a letter or digit, then letters, digits, ".", "_", ":" or "-"; ' +
          'for a redrive, the id of its job and "~r<n>"',
      })
      .describe('The idempotency key; <redriveOf>~r<n> for a redrive'),
    redriveOf: z
      .string()
      .regex(JOB_ID, 'expected the id of a job that is no redrive')
      .optional()
      .describe('The job that this one does again: the first one, also after several redrives'),
    group: groupSchema.optional(),
    tenant: tenantSchema.optional(),
    operations: z
      .array(z.union([modelName, operationObject]))
      .min(1)
      .max(8),
    input: z.strictObject({
      uri: checked(parseObjectUri),
      generation: z
        .string()
        .regex(/^[1-9][0-9]{0,17}$/, 'expected a generation as a string of digits')
        .optional(),
    }),
    output: output.optional(),
    deadline: z.iso.datetime({ offset: true }).optional(),
    timeoutSeconds: z.number().positive().max(3600).optional(),
    priority: z.enum(PRIORITIES).optional(),
    experimentKey: z.string().min(1).max(256).optional(),
    metadata: z
      .record(z.string(), z.unknown())
      .refine((value) => Buffer.byteLength(JSON.stringify(value)) <= MAX_METADATA_BYTES, {
        message: `expected at most ${MAX_METADATA_BYTES} bytes of JSON`,
      })
      .optional()
      .describe('Opaque, echoed in the completion'),
  })
  .superRefine((job, ctx) => {
    const original = REDRIVE_ID.exec(job.jobId)?.[1];
    if (original === job.redriveOf) return;
    const message =
      original === undefined
        ? `expected none, because jobId is not of the form ${job.redriveOf}~r<n>`
        : `expected ${original}, because jobId is ${job.jobId}`;
    ctx.addIssue({ code: 'custom', path: ['redriveOf'], message });
  });

/** Whether a text can be the id of a job or of a redrive. */
export function isJobId(text: string): boolean {
  return JOB_ID.test(text) || REDRIVE_ID.test(text);
}

/** Whether ids can begin with a text. It may end where an id may not, as in `order-8841~r`. */
export function isBeginningOfJobId(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._:~-]{0,133}$/.test(text);
}

/** The id of the job that a redrive repeats: `a` for `a~r2`. For any other job, its own id. */
export function originalOf(jobId: string): string {
  return REDRIVE_ID.exec(jobId)?.[1] ?? jobId;
}

/** The id of the nth redrive of a job: `a~r2` for `a` and for `a~r1`. */
export function redriveId(jobId: string, n: number): string {
  return `${originalOf(jobId)}~r${n}`;
}

/** The message that a publisher writes. */
export type JobMessage = z.input<typeof jobSchema>;

/** Attributes of a job message for subscription filters: the model of the first operation, the priority, and the tenant. */
export function jobAttributes({ operations: [first], priority = 'batch', tenant }: JobMessage): Record<string, string> {
  return {
    model: typeof first === 'string' ? first : (first?.model ?? ''),
    priority,
    ...(tenant === undefined ? {} : { tenant }),
  };
}

export type ParameterValue = z.output<typeof parameterValue>;
export type InputFormat = (typeof INPUT_FORMATS)[number];
export type OutputFormat = (typeof OUTPUT_FORMATS)[number];
export type Priority = (typeof PRIORITIES)[number];
export type Operation = z.output<typeof operationObject>;
export type OutputRequest = z.output<typeof output>;

/** The job in normal form: operations are objects, and the priority has its default. Nothing else is added. */
export type Job = Omit<z.output<typeof jobSchema>, 'operations' | 'priority' | 'output' | 'schemaVersion'> & {
  readonly operations: readonly Operation[];
  readonly output: OutputRequest;
  readonly priority: Priority;
};

/** What decides whose turn it is, of jobs that wait for the same thing. Jobs without a tenant count as one tenant. */
export type Claimant = Pick<Job, 'priority' | 'tenant'>;

/**
 * Reads a Pub/Sub message's data.
 * @throws JobError `INVALID_MESSAGE` (the message names every wrong field) or `UNSUPPORTED_SCHEMA`
 */
export function parseJob(data: Buffer): Job {
  if (data.length > MAX_MESSAGE_BYTES) {
    throw invalid(`expected at most ${MAX_MESSAGE_BYTES} bytes, given ${data.length}`);
  }
  const value = parseJson(data);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid('expected a JSON object');
  }
  if ('eventId' in value && 'status' in value) throw invalid('this is a completion, not a job');
  if ('schemaVersion' in value && value.schemaVersion !== SCHEMA_VERSION) {
    throw new JobError(
      'UNSUPPORTED_SCHEMA',
      `schemaVersion: expected ${SCHEMA_VERSION}, given ${JSON.stringify(value.schemaVersion)}`,
    );
  }
  const parsed = jobSchema.safeParse(value, { reportInput: true });
  if (!parsed.success) throw invalid(describeIssues(parsed.error.issues).join('; '));
  return normalise(parsed.data);
}

/** What can be told of a message that could not be parsed, so that its publisher can match the completion. */
export interface Salvaged {
  readonly jobId?: string;
  /** A `jobId` that is not valid, cut to the length of a valid one. */
  readonly givenJobId?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

/** Finds what a message that is otherwise wrong says of its job. Never throws. */
export function salvage(data: Buffer): Salvaged {
  if (data.length > MAX_MESSAGE_BYTES) return {};
  try {
    const value: unknown = JSON.parse(data.toString('utf8'), refuseProto);
    if (typeof value !== 'object' || value === null) return {};
    const { jobId, metadata } = value as { readonly jobId?: unknown; readonly metadata?: unknown };
    const known = jobSchema.shape.metadata.safeParse(metadata);
    return {
      ...(typeof jobId === 'string' ? (isJobId(jobId) ? { jobId } : { givenJobId: cut(jobId) }) : {}),
      ...(known.data === undefined ? {} : { metadata: known.data }),
    };
  } catch {
    return {}; // not JSON, or nested too deep, which the caller reports
  }
}

/** Half a character cannot be written in UTF-8. */
const cut = (text: string) => text.slice(0, MAX_GIVEN_ID).replace(/\p{Surrogate}/gu, '\ufffd');

function normalise(message: z.output<typeof jobSchema>): Job {
  const { operations, priority, output: place, ...rest } = message;
  delete rest.schemaVersion;
  return {
    ...rest,
    operations: operations.map((operation) => (typeof operation === 'string' ? { model: operation } : operation)),
    output: place ?? {},
    priority: priority ?? 'batch',
  };
}

function parseJson(data: Buffer): unknown {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(data);
    const value = JSON.parse(text, refuseProto) as unknown;
    const twice = duplicateKey(text);
    if (twice !== undefined) throw invalid(`${twice}: given twice`);
    return value;
  } catch (cause) {
    if (cause instanceof JobError) throw cause;
    throw new JobError('INVALID_MESSAGE', 'expected a JSON object in UTF-8', { cause });
  }
}

/** Rejects the key `__proto__`: an object cannot keep it unchanged, so the completion could not echo it. */
function refuseProto(key: string, value: unknown): unknown {
  if (key === '__proto__') throw invalid('__proto__: not permitted as a key');
  return value;
}

function invalid(message: string): JobError {
  return new JobError('INVALID_MESSAGE', message);
}
