import type { Circuits } from './circuits.js';

/**
 * Where jobs stand whose model cannot serve: they keep their message's lease but hold no place in the intake, and go on
 * when the model is back. When more stand here than there is room for, and the worker has nothing else to do, those that
 * have stood longest are sent off, to be put back into the queue by whoever called: what stands behind them can then be
 * pulled.
 */
export interface Parking {
  /**
   * Waits while one of the models cannot serve.
   * @returns `go on` when all can, or when it is time for a trial; `sent off` for the sake of others, or after ten minutes
   * @param since when the job came, by `performance.now()`: what it has waited before counts
   * @throws the signal's reason
   */
  wait(models: readonly string[], since: number, signal: AbortSignal): Promise<Departure>;
  /** Told of a job that found its models at work: to send others off was worth while. */
  passed(): void;
  readonly parked: number;
}

export type Departure = 'go on' | 'sent off';

export interface ParkingOptions {
  /** Jobs that may stand here although the worker has nothing else to do. */
  readonly room: number;
  /** Whether it has nothing else to do: places that nobody waits for. */
  readonly starving: () => boolean;
  readonly circuits: Pick<Circuits, 'broken' | 'mayTry'>;
  /** Asked, now and then, to find out whether a model that the server could not serve is back. */
  readonly refresh: () => void;
}

interface Parked {
  readonly models: readonly string[];
  readonly since: number;
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

export function createParking({ room, starving, circuits, refresh }: ParkingOptions): Parking {
  const parked = new Set<Parked>(); // in the order in which they came
  let timer: NodeJS.Timeout | undefined;
  let refreshedAt = -Infinity;
  let sentOffAt = -Infinity;
  let pauseMs = SHORTEST_PAUSE_MS;
  let passedSince = false;

  const mayTry = (model: string) => !circuits.broken([model]) || circuits.mayTry(model);

  function look(): void {
    const now = performance.now();
    const tried = new Set<string>();
    for (const one of [...parked]) {
      const broken = circuits.broken(one.models);
      // One for each model: what becomes of it will tell the others.
      const trial = broken && !tried.has(broken.model) && one.models.every(mayTry);
      if (broken && trial) tried.add(broken.model);
      if (!broken) one.leave('go on');
      else if (now - one.since > LONGEST_MS) one.leave('sent off');
      else if (trial) one.leave('go on');
    }
    if (parked.size > room && now - sentOffAt >= pauseMs && starving()) {
      pauseMs = passedSince ? SHORTEST_PAUSE_MS : Math.min(LONGEST_PAUSE_MS, 2 * pauseMs);
      passedSince = false;
      sentOffAt = now;
      for (const one of [...parked].slice(0, parked.size - room)) one.leave('sent off');
    }
    if (parked.size > 0 && now - refreshedAt >= REFRESH_MS) {
      refreshedAt = now;
      refresh();
    }
    clearTimeout(timer);
    timer = parked.size > 0 ? setTimeout(look, Math.min(LOOK_MS, parked.size > room ? pauseMs : LOOK_MS)) : undefined;
  }

  return {
    wait(models, since, signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) {
          reject(signal.reason as Error);
          return;
        }
        const giveUp = () => {
          parked.delete(one);
          reject(signal.reason as Error);
        };
        const one: Parked = {
          models,
          since,
          leave(how) {
            parked.delete(one);
            signal.removeEventListener('abort', giveUp);
            resolve(how);
          },
        };
        signal.addEventListener('abort', giveUp, { once: true });
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
