/**
 * How many requests a model may be sent at once while its queue refuses some: a little less than what was refused, and
 * then slowly more again while all that is permitted is sent and answered. Workers that share a queue find their parts of
 * it without knowing of each other, since who has more loses more by a refusal, and all win the same by an answer (Chiu
 * and Jain, 1989). Where nothing is refused for long, because the others have left, it grows ever faster, as CUBIC does
 * (RFC 9438), over rounds instead of seconds.
 *
 * Both steps are smaller than a network's, since a refusal costs more here than a queue that is not quite full: a batcher
 * of Triton 2.51 that does not fetch ahead is woken by the next request that it accepts, or half a second later. If its
 * queue is full when an instance becomes free, it refuses everything until then, and the instance does nothing.
 */
export interface ConcurrencyLimit {
  /** @param most what may be in flight when nothing is refused; at least one is permitted */
  permitted(most: number): number;
  /**
   * @param sentAt of the request, in milliseconds
   * @param full whether all that was permitted was in flight then; else it tells nothing of whether more may be
   */
  answered(sentAt: number, full: boolean): void;
  /**
   * @param sentAt of the request, in milliseconds
   * @param inFlight the refused one included
   */
  refused(sentAt: number, inFlight: number): void;
  /** When to send again. As long as something is in flight its answer will say; else after a pause, with jitter. */
  restUntil(inFlight: number): number;
}

/** Of what was in flight when something is refused for the first time: by how much it is too much is anybody's guess. */
const FIRST_DECREASE = 0.7;
const DECREASE = 0.85;
/** Windows full of answers: for so long it grows by a fraction of a request only, and ever faster from then on. */
const PATIENCE = 200;
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1_000;

/** @param now milliseconds on a clock that never goes back */
export function createConcurrencyLimit(now: () => number = () => performance.now()): ConcurrencyLimit {
  /** What was permitted after something was refused. */
  let base = Infinity;
  let rounds = 0;
  /** Only what was sent after the last decrease tells whether it was enough: one decrease a round, as in TCP. */
  let since = -Infinity;
  let answeredSince = true;
  let pausedAt = -Infinity;
  let pauseUntil = -Infinity;
  let pauseMs = FIRST_PAUSE_MS;

  const size = () => base + rounds / PATIENCE + (rounds / PATIENCE) ** 3;

  return {
    permitted: (most) => (base === Infinity ? most : Math.floor(Math.min(most, size()))),
    answered(sentAt, full) {
      pauseMs = FIRST_PAUSE_MS;
      if (sentAt < since || base === Infinity) return;
      answeredSince = true;
      if (full) rounds += 1 / size();
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
      base = Math.max(1, base === Infinity ? FIRST_DECREASE * inFlight : DECREASE * size());
      rounds = 0;
    },
    restUntil: (inFlight) => (inFlight > 0 ? -Infinity : pauseUntil),
  };
}
