/**
 * How many requests a model may be sent at once while its queue refuses some. After a refusal it is a third less than what
 * was in flight; then it soon comes back close to that, stays there for a while, and grows ever faster if nothing is
 * refused: CUBIC's curve (RFC 9438), over rounds instead of seconds. Workers that share a queue find their parts of it
 * without knowing of each other.
 *
 * To stay below what has proven too much matters more here than in a network: a batcher of Triton 2.51 that does not fetch
 * ahead is woken by the next request that it accepts, or half a second later. If its queue is full when an instance becomes
 * free, it refuses everything until then, and the instance does nothing.
 */
export interface Window {
  /** @param most what may be in flight when nothing is refused; at least one is permitted */
  limit(most: number): number;
  /** @param sentAt of the request, in milliseconds */
  answered(sentAt: number): void;
  /**
   * @param sentAt of the request, in milliseconds
   * @param inFlight the refused one included
   */
  refused(sentAt: number, inFlight: number): void;
  /** When to send again. As long as something is in flight its answer will say; else after a pause, with jitter. */
  restUntil(inFlight: number): number;
}

const DECREASE = 0.7;
/** Windows full of answers until it is as wide again as it was. */
const ROUNDS_BACK = 20;
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1_000;

/** @param now milliseconds on a clock that never goes back */
export function createWindow(now: () => number = () => performance.now()): Window {
  /** What was in flight when something was refused. */
  let width = Infinity;
  let rounds = 0;
  /** Only what was sent after the last decrease tells whether it was enough: one decrease a round, as in TCP. */
  let since = -Infinity;
  let answeredSince = true;
  let pausedAt = -Infinity;
  let pauseUntil = -Infinity;
  let pauseMs = FIRST_PAUSE_MS;

  const size = () => width * (1 + (1 - DECREASE) * (rounds / ROUNDS_BACK - 1) ** 3);

  return {
    limit: (most) => (width === Infinity ? most : Math.max(1, Math.floor(Math.min(most, size())))),
    answered(sentAt) {
      pauseMs = FIRST_PAUSE_MS;
      if (sentAt < since || width === Infinity) return;
      answeredSince = true;
      rounds += 1 / Math.max(1, size());
    },
    refused(sentAt, inFlight) {
      if (sentAt >= pausedAt) {
        pausedAt = now();
        pauseUntil = pausedAt + Math.random() * pauseMs;
        pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * pauseMs);
      }
      if (sentAt < since || !answeredSince) return;
      since = now();
      answeredSince = false;
      rounds = 0;
      width = Math.max(1 / DECREASE, Math.min(inFlight, width === Infinity ? inFlight : size()));
    },
    restUntil: (inFlight) => (inFlight > 0 ? -Infinity : pauseUntil),
  };
}
