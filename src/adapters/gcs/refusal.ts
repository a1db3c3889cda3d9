/** Reads the reason from an error answer. */
import { gunzipSync } from 'node:zlib';
import type { Answer } from './call.js';

export interface Refusal {
  readonly status: number;
  /** The service's code, such as `notFound`; empty if there is none. */
  readonly reason: string;
  /** The service's message. */
  readonly message: string;
}

/** Longest body of a storage error, in bytes. */
const MAX_BYTES = 65_536;
const MAX_WORDS = 500;

/** Reads the body: JSON, or plain text if the request was for an object's bytes. */
export async function refusalOf(answer: Answer): Promise<Refusal> {
  const { status } = answer;
  const body = await answer.body(MAX_BYTES);
  const text = body === undefined ? '' : unpack(body, answer.header('content-encoding')).trim();
  const place = answer.header('location');
  const parsed = parse(text);
  const message = (parsed?.message ?? text).slice(0, MAX_WORDS);
  return {
    status,
    reason: parsed?.reason ?? '',
    message: [
      message === '' ? 'no reason given' : message,
      ...(place === undefined ? [] : [`(to ${place.replace(/\?.*/s, '')})`]),
    ].join(' '),
  };
}

/** The request accepts gzip for objects, so errors may be compressed too. */
function unpack(body: Buffer, encoding: string | undefined): string {
  if (encoding !== 'gzip') return body.toString();
  try {
    return gunzipSync(body, { maxOutputLength: MAX_BYTES }).toString();
  } catch {
    return '';
  }
}

function parse(text: string): { reason: string | undefined; message: string | undefined } | undefined {
  try {
    const { error } = JSON.parse(text) as { error?: { message?: unknown; errors?: { reason?: unknown }[] } };
    const { message, errors } = error ?? {};
    const reason = errors?.[0]?.reason;
    return { reason: asText(reason), message: asText(message) };
  } catch {
    return undefined;
  }
}

const asText = (value: unknown) => (typeof value === 'string' ? value : undefined);

/** Whether the service says that the object does not exist. An emulator or a proxy only says 404. */
export function namesObject({ message }: Refusal): boolean {
  return message.startsWith('No such object');
}

export function namesBucket({ message }: Refusal): boolean {
  return /^the specified bucket does not exist/i.test(message);
}

/**
 * Whether reading the object demands something that this service never has. Then the job that names it is at fault.
 * `required`: "Bucket is a requester pays bucket but no user project provided." (XML: UserProjectMissing);
 * `resourceIsEncryptedWithCustomerEncryptionKey`: "The target object is encrypted by a customer-supplied encryption key."
 */
export function isDemand({ status, reason, message }: Refusal): boolean {
  if (status !== 400) return false;
  return (
    /requester pays|UserProjectMissing/i.test(message) ||
    [reason, message].some((text) => /ResourceIsEncryptedWithCustomerEncryptionKey/i.test(text)) ||
    /encrypted by a customer-supplied encryption key/i.test(message)
  );
}
