import { JobError } from '../domain/errors.js';
import { isShortage } from './codec.js';
import { unsupported } from './preflight/foreign.js';

/**
 * Maps the error texts of a decoder to the three codes for a bad picture. What is not the picture's fault passes unchanged: a
 * shortage of the machine, and mistakes of our own, which JavaScript reports as a kind of Error such as TypeError.
 */
export async function withPictureErrors<T>(bytes: Buffer, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof JobError || isShortage(cause)) throw cause;
    if (!(cause instanceof Error) || cause.name !== 'Error') throw cause;
    const { message } = cause;
    if (/unsupported image format|buffer is empty/i.test(message)) {
      throw unsupported(bytes, undefined, cause);
    }
    if (/exceeds pixel limit/i.test(message)) {
      throw new JobError('INPUT_TOO_MANY_PIXELS', message, { cause });
    }
    throw new JobError('INPUT_CORRUPT', firstLine(message), { cause });
  }
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? text;
}
