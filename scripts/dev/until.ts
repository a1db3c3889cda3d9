import { setTimeout as sleep } from 'node:timers/promises';

export interface UntilOptions {
  readonly everyMs?: number;
  readonly limitMs?: number;
  /** For the error: what has not come to pass, or what was seen last. */
  readonly what?: string | (() => string);
  readonly signal?: AbortSignal;
}

/** Looks again and again until it finds something. @returns that. @throws Error after the limit, or the signal's reason */
export async function until<T>(
  look: () => T | Promise<T>,
  { everyMs = 50, limitMs = Infinity, what = 'what was waited for', signal }: UntilOptions = {},
): Promise<Exclude<T, false | undefined>> {
  const giveUpAt = performance.now() + limitMs;
  for (;;) {
    signal?.throwIfAborted();
    const found = await look();
    if (found !== undefined && found !== false) return found as Exclude<T, false | undefined>;
    if (performance.now() > giveUpAt) {
      throw new Error(`not within ${limitMs / 1000} s: ${typeof what === 'string' ? what : what()}`);
    }
    await sleep(everyMs);
  }
}
