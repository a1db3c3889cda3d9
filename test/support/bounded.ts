import { expect } from 'vitest';

/** How much later than its limit a wait may end, in milliseconds. */
const SLACK_MS = 1_000;

/**
 * Checks that the promise settles within the limit and a second.
 * @returns how it ended: `ok`, or the error's code, or the error as text
 */
export async function endOf(limitMs: number, promise: Promise<unknown>): Promise<string> {
  const begun = performance.now();
  const end = await promise.then(
    () => 'ok',
    (error: unknown) => String((error as { code?: unknown }).code ?? error),
  );
  expect(performance.now() - begun).toBeLessThan(limitMs + SLACK_MS);
  return end;
}
