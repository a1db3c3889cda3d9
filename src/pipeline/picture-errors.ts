import { JobError } from '../domain/errors.js';
import { isShortage } from './codec.js';
import { unsupported } from './preflight/foreign.js';

/**
 * Maps sharp's error texts to the three codes for a bad picture. A shortage of the machine is not the picture's fault and
 * passes unchanged.
 */
export async function withPictureErrors<T>(bytes: Buffer, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof JobError || isShortage(cause)) throw cause;
    const message = cause instanceof Error ? cause.message : String(cause);
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
