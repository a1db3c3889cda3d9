import type { Need } from '../domain/errors.js';
import type { Availability } from './availability.js';
import { needLabel } from './needs.js';

/**
 * Where jobs stand whose model or bucket cannot be used: they keep their message's lease but hold no place in the intake,
 * and go on when it is back. When more stand here than there is room for, and the worker has nothing else to do, those
 * that have stood longest are sent off, to be put back into the queue by whoever called: what stands behind them can then
 * be pulled.
 */
export interface WaitingRoom {
  /**
   * Waits while one of the needs cannot be used, or for a pause.
   * @param since when the job came, by `performance.now()`: what it has waited before counts
   * @returns `go on` when it is time to try, `sent off` for the sake of others or after ten minutes, `interrupted` when
   *   the signal has fired
   */
  wait(what: Hindrance, since: number, signal: AbortSignal): Promise<Departure>;
  /** Told of a job that has ended: to send others off was worth while. */
  passed(): void;
  readonly parked: number;
}

export interface Hindrance {
  readonly needs: readonly Need[];
  /** At least so long, in milliseconds, whatever the needs are: for what nobody but the job can find out. */
  readonly pauseMs?: number;
  /** The job is worked on alone: where others wait for the same, one of them tries first. */
  readonly alone?: boolean;
}

export type Departure = 'go on' | 'sent off' | 'interrupted';

export interface WaitingRoomOptions {
  /** Jobs that may stand here although the worker has nothing else to do. */
  readonly room: number;
  /** Whether it has nothing else to do: places that nobody waits for. */
  readonly starving: () => boolean;
  readonly availability: Pick<Availability, 'broken' | 'mayTry'>;
  /** Asked, now and then, to find out whether a model that the server could not serve is back. */
  readonly refresh: () => void;
}

interface Parked {
  readonly needs: readonly Need[];
  readonly since: number;
  readonly notBefore: number;
  readonly alone: boolean;
  readonly leave: (how: Departure) => void;
}

const LOOK_MS = 250;
const REFRESH_MS = 1_000;
/** Well within the longest time for which the client extends a lease. */
const LONGEST_MS = 600_000;
/**
 * Between two times that jobs are sent off. It begins short, since others may stand in line behind them; and doubles while
 * nothing but more of the same comes, so that a queue full of a broken model's jobs is not turned over and over.
 */
const SHORTEST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;

export function createWaitingRoom({ room, starving, availability, refresh }: WaitingRoomOptions): WaitingRoom {
  const parked = new Set<Parked>(); // in the order in which they came
  let timer: NodeJS.Timeout | undefined;
  let refreshedAt = -Infinity;
  let sentOffAt = -Infinity;
  let pauseMs = SHORTEST_PAUSE_MS;
  let passedSince = false;

  /** Those whose needs are back, or whose turn it is to try; and those who have stood too long. */
  function release(now: number): void {
    const tried = new Set<string>();
    for (const one of [...parked].sort((a, b) => Number(a.alone) - Number(b.alone))) {
      if (now - one.since > LONGEST_MS) one.leave('sent off');
      if (now < one.notBefore) continue;
      const broken = availability.broken(one.needs);
      // One for each need: what becomes of it will tell the others.
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

  function look(): void {
    const now = performance.now();
    release(now);
    sendOff(now);
    if (parked.size > 0 && now - refreshedAt >= REFRESH_MS) {
      refreshedAt = now;
      refresh();
    }
    clearTimeout(timer);
    timer = parked.size > 0 ? setTimeout(look, Math.min(LOOK_MS, parked.size > room ? pauseMs : LOOK_MS)) : undefined;
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
        timer ??= setTimeout(look, Math.min(LOOK_MS, pauseMs));
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
