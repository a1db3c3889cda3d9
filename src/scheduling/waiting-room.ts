import type { Need } from '../domain/errors.js';
import type { Availability } from './availability.js';
import { needLabel } from './needs.js';

/**
 * Holds jobs whose model or bucket is unavailable. They keep their message's lease but hold no place in the intake, and go
 * on when the model or bucket is back. If more than `room` jobs wait, and the worker has nothing else to do, those that have
 * waited longest are sent off. The caller puts them back into the queue, so that the worker can pull the messages behind
 * them.
 */
export interface WaitingRoom {
  /**
   * Waits while one of the needs is unavailable, or for a pause.
   * @param since when the job arrived, by `performance.now()`; the time it has waited before counts
   * @returns `go on` when it is time to try, `sent off` to make room for others or after ten minutes, `interrupted` when the
   *   signal fires
   */
  wait(what: Hindrance, since: number, signal: AbortSignal): Promise<Departure>;
  /** Reports that a job has ended. Sending others off was then useful. */
  passed(): void;
  readonly parked: number;
}

export interface Hindrance {
  readonly needs: readonly Need[];
  /** Shortest wait in milliseconds, regardless of the needs, for a cause that only the job itself can check. */
  readonly pauseMs?: number;
  /** The job runs alone. If others wait for the same need, one of them tries first. */
  readonly alone?: boolean;
}

export type Departure = 'go on' | 'sent off' | 'interrupted';

export interface WaitingRoomOptions {
  /** How many jobs may wait here while the worker has nothing else to do. */
  readonly room: number;
  /** Whether the worker has nothing else to do: it has free places and no job waits for one. */
  readonly starving: () => boolean;
  readonly availability: Pick<Availability, 'broken' | 'mayTry'>;
  /** Called from time to time, to find out whether a model that the server could not serve is back. */
  readonly refresh: () => void;
}

interface Parked {
  readonly needs: readonly Need[];
  readonly since: number;
  readonly notBefore: number;
  readonly alone: boolean;
  readonly leave: (how: Departure) => void;
}

const CHECK_MS = 250;
const REFRESH_MS = 1_000;
/** Longest wait, in milliseconds. It is well within the longest time for which the client extends a lease. */
const LONGEST_MS = 600_000;
/**
 * Pause between two times that jobs are sent off. It starts short, since other jobs may be waiting behind them. It doubles
 * while only jobs for the same broken models arrive, so that a queue full of them is not cycled over and over.
 */
const SHORTEST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;

export function createWaitingRoom({ room, starving, availability, refresh }: WaitingRoomOptions): WaitingRoom {
  const parked = new Set<Parked>(); // in order of arrival
  let timer: NodeJS.Timeout | undefined;
  let refreshedAt = -Infinity;
  let sentOffAt = -Infinity;
  let pauseMs = SHORTEST_PAUSE_MS;
  let passedSince = false;

  /** Releases jobs whose needs are back or that may try, and sends off those that have waited too long. */
  function release(now: number): void {
    const tried = new Set<string>();
    for (const one of [...parked].sort((a, b) => Number(a.alone) - Number(b.alone))) {
      if (now - one.since > LONGEST_MS) one.leave('sent off');
      if (now < one.notBefore) continue;
      const broken = availability.broken(one.needs);
      // One trial per need. Its result tells the others.
      const trial =
        broken && !tried.has(needLabel(broken.need)) && one.needs.every((need) => availability.mayTry(need));
      if (trial) tried.add(needLabel(broken.need));
      if (!broken || trial) one.leave('go on');
    }
  }

  function sendOff(now: number): void {
    if (parked.size <= room || now - sentOffAt < pauseMs || !starving()) return;
    pauseMs = passedSince ? SHORTEST_PAUSE_MS : Math.min(LONGEST_PAUSE_MS, 2 * pauseMs);
    passedSince = false;
    sentOffAt = now;
    for (const one of [...parked].slice(0, parked.size - room)) one.leave('sent off');
  }

  function check(): void {
    const now = performance.now();
    release(now);
    sendOff(now);
    if (parked.size > 0 && now - refreshedAt >= REFRESH_MS) {
      refreshedAt = now;
      refresh();
    }
    clearTimeout(timer);
    timer =
      parked.size > 0 ? setTimeout(check, Math.min(CHECK_MS, parked.size > room ? pauseMs : CHECK_MS)) : undefined;
  }

  return {
    wait({ needs, pauseMs: atLeastMs = 0, alone = false }, since, signal) {
      return new Promise((resolve) => {
        if (signal.aborted) {
          resolve('interrupted');
          return;
        }
        const interrupt = () => one.leave('interrupted');
        const one: Parked = {
          ...{ needs, since, alone, notBefore: performance.now() + atLeastMs },
          leave(how) {
            parked.delete(one);
            signal.removeEventListener('abort', interrupt);
            resolve(how);
          },
        };
        signal.addEventListener('abort', interrupt, { once: true });
        parked.add(one);
        timer ??= setTimeout(check, Math.min(CHECK_MS, pauseMs));
      });
    },
    passed() {
      passedSince = true;
    },
    get parked() {
      return parked.size;
    },
  };
}
