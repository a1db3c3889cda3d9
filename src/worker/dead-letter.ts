import type { Completion } from '../domain/completion.js';
import type { Delivery } from '../domain/ports.js';
import { ownAttributes } from './defer.js';

/** Most attributes copied from the message. Pub/Sub permits 100, and a dead letter adds five. */
const MOST_OWN = 95;

/** Pub/Sub's limit for the value of an attribute, in bytes. */
const MAX_VALUE_BYTES = 1_024;

/** The attributes of a dead letter: those of the message, and the error. */
export function deadLetterAttributes(delivery: Delivery, completion: Completion): Record<string, string> {
  const { error, jobId } = completion;
  return {
    ...Object.fromEntries(Object.entries(ownAttributes(delivery)).slice(0, MOST_OWN)),
    ...(jobId === undefined ? {} : { jobId }),
    ...(error === undefined ? {} : { errorCode: error.code, errorMessage: truncate(error.message) }),
    eventId: completion.eventId,
    messageId: delivery.messageId,
  };
}

/** Cuts between characters, since half a character would make the publish fail. */
function truncate(text: string): string {
  const bytes = Buffer.from(text).subarray(0, MAX_VALUE_BYTES);
  return bytes.toString('utf8').replace(/\uFFFD+$/, '');
}
