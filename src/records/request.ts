/**
 * The request that a record keeps: what the publisher sent, so that the job can be done again. It is kept for readers, and
 * no outcome depends on it. Records of older workers and cancellations have none.
 */
import { z } from 'zod';
import { type JobMessage, jobAttributes, jobSchema } from '../domain/job.js';

/** Limit of the attributes in a record, in bytes of JSON. Beyond it, only those are kept that every job has. */
const MAX_ATTRIBUTES_BYTES = 32_768;

export interface JobRequest {
  /** The job message as it was published. */
  readonly message: JobMessage;
  /** The publisher's own attributes, by which a subscription may choose messages. */
  readonly attributes: Readonly<Record<string, string>>;
  readonly orderingKey?: string;
}

const requestSchema = z.looseObject({
  message: jobSchema,
  attributes: z.record(z.string(), z.string()).optional(),
  orderingKey: z.string().optional(),
});

/** @param data the bytes of a message that was parsed before */
export function requestFrom(
  data: Buffer,
  attributes: Readonly<Record<string, string>>,
  orderingKey: string | undefined,
): JobRequest {
  // A TextDecoder skips a byte order mark, as the parser does.
  const message = JSON.parse(new TextDecoder().decode(data)) as JobMessage;
  const fits = Buffer.byteLength(JSON.stringify(attributes)) <= MAX_ATTRIBUTES_BYTES;
  return {
    message,
    attributes: fits ? attributes : jobAttributes(message),
    ...(orderingKey === undefined ? {} : { orderingKey }),
  };
}

/** @returns undefined if the record keeps no request, or one that this version cannot publish */
export function requestOf({ request }: { readonly request?: JobRequest | undefined }): JobRequest | undefined {
  const parsed = requestSchema.safeParse(request);
  if (request === undefined || !parsed.success) return undefined;
  const { attributes, orderingKey } = parsed.data;
  return {
    message: request.message,
    attributes: attributes ?? jobAttributes(request.message),
    ...(orderingKey === undefined ? {} : { orderingKey }),
  };
}
