import { setTimeout as sleep } from 'node:timers/promises';

const FIRST_PAUSE_MS = 200;
const GROWTH = 1.2;

/**
 * Looks again and again until there is something. The pauses grow, from 200 ms to the longest.
 * @param longestMs longest pause, in milliseconds
 * @param onPause called before each pause; must not throw
 * @param pause how to wait; it may end early, and throws when the signal fires
 * @throws what the look throws; the signal's reason
 */
export async function untilFound<T>(
  look: () => Promise<T | undefined>,
  longestMs: number,
  signal: AbortSignal,
  onPause: () => void = () => undefined,
  pause: (ms: number, signal: AbortSignal) => Promise<void> = rest,
): Promise<T> {
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(longestMs, pauseMs * GROWTH)) {
    const found = await look();
    if (found !== undefined) return found;
    onPause();
    await pause(pauseMs, signal);
  }
}

const rest = (ms: number, signal: AbortSignal): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
