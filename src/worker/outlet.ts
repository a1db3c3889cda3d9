import { setTimeout as sleep } from 'node:timers/promises';
import { NotPublishable, type Publisher } from '../domain/ports.js';
import { anyOf } from '../domain/signals.js';
import { backoffMs } from '../pipeline/retry.js';

/**
 * A topic that must accept every message. While it accepts nothing (a missing right, a deleted topic, an exhausted quota),
 * the outlet holds its messages and retries. Giving the jobs' messages back instead would use up their delivery attempts,
 * and Pub/Sub would dead-letter jobs without a published outcome.
 */
export interface Outlet {
  /**
   * Publishes, and retries until the topic accepts or `until` fires. After that it makes one last attempt.
   * @returns why the topic did not accept it: the message itself is not publishable, or the time is over
   */
  publish(message: Outgoing, until: AbortSignal): Promise<Error | undefined>;
  /** Why the topic accepts nothing now. */
  readonly blocked: Error | undefined;
}

export interface Outgoing {
  readonly data: Buffer;
  readonly attributes: Readonly<Record<string, string>>;
  readonly orderingKey?: string | undefined;
}

/** Called when the topic stops accepting, and when it accepts again; must not throw. */
export type OnBlocked = (reason: Error | undefined) => void;

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;

export function createOutlet(publisher: Publisher, onBlocked: OnBlocked = () => undefined): Outlet {
  let blocked: Error | undefined;
  let reopened = new AbortController();
  let publishing = 0;

  function tell(reason: Error | undefined): void {
    const changed = (blocked === undefined) !== (reason === undefined);
    blocked = reason;
    if (!changed) return;
    if (reason === undefined) {
      reopened.abort(); // all waiting messages retry at once
      reopened = new AbortController();
    }
    onBlocked(reason);
  }

  /** @returns why the topic did not accept it */
  async function attempt({ data, attributes, orderingKey }: Outgoing): Promise<Error | undefined> {
    try {
      await publisher.publish(data, attributes, orderingKey);
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown));
      if (!(error instanceof NotPublishable)) tell(error);
      return error;
    }
    tell(undefined);
    return undefined;
  }

  async function publishUntil(message: Outgoing, until: AbortSignal): Promise<Error | undefined> {
    for (let failures = 1; ; failures++) {
      const refused = await attempt(message);
      if (refused === undefined || refused instanceof NotPublishable || until.aborted) return refused;
      const pauseMs = FIRST_PAUSE_MS + backoffMs(failures, LONGEST_PAUSE_MS);
      await rest(pauseMs, reopened.signal, until);
    }
  }

  return {
    async publish(message, until) {
      publishing++;
      try {
        return await publishUntil(message, until);
      } finally {
        publishing--;
        // Nothing retries any more. The next message finds out whether the topic accepts.
        if (publishing === 0 && blocked) tell(undefined);
      }
    },
    get blocked() {
      return blocked;
    },
  };
}

/** Waits until the time is over or one of the signals fires. */
async function rest(ms: number, ...signals: readonly AbortSignal[]): Promise<void> {
  const { signal, release } = anyOf(signals);
  // Only the signal can make it reject.
  await sleep(ms, undefined, { signal }).catch(() => undefined);
  release();
}
