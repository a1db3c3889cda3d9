import type { Unanswered } from '../domain/errors.js';

/** What was known of a model version when a request was sent. */
export interface Sent {
  readonly at: number;
  /** When the version last answered another request; `-Infinity` if a request went unanswered after that. */
  readonly answeredAt: number;
  /** How long that answer took, in milliseconds. */
  readonly tookMs: number;
}

/**
 * Knows whether one model version answers this worker. If it answers the others, a request that goes unanswered again and
 * again is itself the cause. If it answers nobody, this is an outage. All times are by `performance.now()`.
 */
export class AnswerHistory {
  /** When a request was last answered. */
  answeredAt = -Infinity;
  #tookMs = 0;
  #unansweredAt = -Infinity;

  sending(): Sent {
    const isWell = this.answeredAt > this.#unansweredAt;
    return { at: performance.now(), answeredAt: isWell ? this.answeredAt : -Infinity, tookMs: this.#tookMs };
  }

  answered({ at }: Sent): void {
    this.answeredAt = performance.now();
    this.#tookMs = this.answeredAt - at;
  }

  unanswered(): void {
    this.#unansweredAt = performance.now();
  }
}

/**
 * Whether a request that was alone in flight caused its own end. The version has answered others since the job last
 * went unanswered, and nothing else has gone unanswered since that answer. A request that was late must have taken much
 * longer than that answer: otherwise the queue at the server may simply be long.
 * @param how how the request has just ended
 * @param since when the job last went unanswered before that
 */
export function isCause(how: Unanswered | undefined, { at, answeredAt, tookMs }: Sent, since: number): boolean {
  return answeredAt > since && (how === 'lost' || performance.now() - at > 2 * tookMs);
}
