/** The completion says how a job ended. It is published after the record is written. It never contains pixels. */
import { z } from 'zod';
import { ERROR_CODES, STAGES } from './errors.js';
import { groupSchema, SCHEMA_VERSION, tenantSchema } from './job.js';
import { WARNINGS } from './warnings.js';

export const STATUSES = ['succeeded', 'failed', 'expired', 'canceled'] as const;
export const PLANS = ['tile', 'fit', 'whole'] as const;
export type PlanName = (typeof PLANS)[number];

const millis = z.number().nonnegative();

const step = z.strictObject({
  model: z.string(),
  requestedVersion: z.string().optional(),
  servedVersion: z.string().describe('The version that answered, as Triton names it'),
  plan: z.enum(PLANS),
  requests: z.int().nonnegative(),
  gpuMs: millis
    .optional()
    .describe(
      'Its share of the time for which an instance was busy, estimated from what Triton has measured; absent before that',
    ),
  experiment: z.string().optional(),
  arm: z.string().optional().describe('Arm of the experiment, which chose the version'),
  fallbackFrom: z.string().optional().describe("The arm's version, which failed before this one answered"),
});

export const completionSchema = z.strictObject({
  schemaVersion: z.literal(SCHEMA_VERSION),
  eventId: z.string().describe('The same for every publish of the same outcome'),
  jobId: z.string().optional().describe('Absent only when the message had none that is valid'),
  givenJobId: z
    .string()
    .optional()
    .describe('In place of `jobId`: the id of a message whose id is not valid, cut to 128 characters'),
  redriveOf: z.string().optional().describe('The job that this one does again'),
  group: groupSchema.optional().describe('As the job gave it'),
  tenant: tenantSchema.optional().describe('As the job gave it'),
  status: z.enum(STATUSES),
  error: z
    .strictObject({
      code: z.enum(ERROR_CODES),
      stage: z.enum(STAGES),
      retryable: z.boolean().describe('Whether the same job may succeed later without a change'),
      message: z.string(),
    })
    .optional(),
  input: z
    .strictObject({
      uri: z.string(),
      generation: z.string().optional(),
      bytes: z.int().optional(),
      width: z.int().optional(),
      height: z.int().optional(),
    })
    .optional(),
  output: z
    .strictObject({
      uri: z.string(),
      generation: z.string(),
      contentType: z.string(),
      bytes: z.int(),
      width: z.int(),
      height: z.int(),
      crc32c: z.string(),
    })
    .optional(),
  steps: z.array(step).optional(),
  warnings: z
    .array(z.string())
    .optional()
    .describe(`What the picture lost, or what was wrong with its file: ${Object.values(WARNINGS).join('; ')}`),
  attempt: z.int().optional(),
  timingsMs: z
    .strictObject({
      queued: millis.optional(),
      fetch: millis.optional(),
      memory: millis.optional().describe('The wait for memory, between reading the header and decoding'),
      decode: millis.optional(),
      inference: millis.optional(),
      encode: millis.optional(),
      store: millis.optional(),
      total: millis,
    })
    .optional(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  messageId: z.string().optional(),
  worker: z.string().optional(),
});

export type Completion = z.infer<typeof completionSchema>;
export type Status = Completion['status'];
export type Step = z.infer<typeof step>;
export type Timings = NonNullable<Completion['timingsMs']>;
export type CompletionInput = NonNullable<Completion['input']>;
export type CompletionOutput = NonNullable<Completion['output']>;

/** The bytes to publish. JSON of the same object is always the same text, so a replay has equal bytes. */
export function completionBytes(completion: Completion): Buffer {
  return Buffer.from(JSON.stringify(completion));
}

/** Attributes of the completion message, for subscription filters. `model` is the last model that the job asked for. */
export function completionAttributes(completion: Completion, model?: string): Record<string, string> {
  return {
    ...(completion.jobId === undefined ? {} : { jobId: completion.jobId }),
    status: completion.status,
    ...(model === undefined ? {} : { model }),
    ...(completion.tenant === undefined ? {} : { tenant: completion.tenant }),
    ...(completion.error === undefined ? {} : { errorCode: completion.error.code }),
    schemaVersion: String(SCHEMA_VERSION),
  };
}
