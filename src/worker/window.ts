/**
 * How many requests a model may be sent at once while its queue refuses some: halved by a refusal, and one more for every
 * window full of answers (additive increase, multiplicative decrease, as TCP does it: RFC 5681). Workers that share a queue
 * find their parts of it without knowing of each other.
 */
export interface Window {
  /** @param most what may be in flight when nothing is refused; at least one is permitted */
  limit(most: number): number;
  answered(): void;
  /** @param sentAt of the request; the refusals of one volley count once */
  refused(sentAt: number, inFlight: number): void;
}

/** @param now milliseconds on a clock that never goes back */
export function createWindow(now: () => number = () => performance.now()): Window {
  let size = Infinity;
  let halvedAt = -Infinity;
  return {
    limit: (most) => Math.max(1, Math.floor(Math.min(most, size))),
    answered() {
      size += 1 / size;
    },
    refused(sentAt, inFlight) {
      if (sentAt < halvedAt) return;
      halvedAt = now();
      size = Math.max(1, Math.min(size, inFlight) / 2);
    },
  };
}
