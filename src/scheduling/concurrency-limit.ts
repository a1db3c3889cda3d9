/**
 * How many requests may be sent to a model at once while its queue refuses some. After a refusal the limit drops a little
 * below the refused number. Then it grows slowly while the worker sends all that is permitted and gets answers. Workers that
 * share a queue find their shares without knowing of each other: a worker with a larger share loses more by a refusal, and
 * all gain the same by an answer (Chiu and Jain, 1989). After a long time without a refusal, because other workers have
 * left, the limit grows ever faster, as CUBIC does (RFC 9438), over rounds instead of seconds.
 *
 * Both steps are smaller than a network's, since here a refusal costs more than a queue that is not quite full. A batcher of
 * Triton 2.51 that does not fetch ahead wakes at the next request that it accepts, or half a second later. If its queue is
 * full when an instance becomes free, it refuses everything until then, and the instance is idle.
 */
export interface ConcurrencyLimit {
  /**
   * The number of requests that may be in flight, at least one.
   * @param most the number while nothing is refused
   */
  permitted(most: number): number;
  /**
   * @param sentAt of the request, in milliseconds
   * @param full whether all that was permitted was in flight then; otherwise the answer says nothing about a higher limit
   */
  answered(sentAt: number, full: boolean): void;
  /**
   * @param sentAt of the request, in milliseconds
   * @param inFlight number of requests, including the refused one
   */
  refused(sentAt: number, inFlight: number): void;
  /** When to send the next request: on the next answer while requests are in flight, otherwise after a jittered pause. */
  restUntil(inFlight: number): number;
}

/** Factor applied to the requests in flight at the first refusal. How far they exceed the right number is unknown. */
const FIRST_DECREASE = 0.7;
const DECREASE = 0.85;
/**
 * Rounds of answers at the full limit after which growth speeds up. Until then the limit grows by a fraction of a request.
 */
const PATIENCE = 200;
const FIRST_PAUSE_MS = 25;
const LONGEST_PAUSE_MS = 1_000;

/** @param now milliseconds on a monotonic clock */
export function createConcurrencyLimit(now: () => number = () => performance.now()): ConcurrencyLimit {
  /** The limit after the last refusal. */
  let base = Infinity;
  let rounds = 0;
  /** Only requests sent after the last decrease show whether it was enough. As in TCP, there is one decrease per round. */
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
