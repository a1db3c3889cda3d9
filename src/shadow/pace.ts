/**
 * Limits the time that shadows cost jobs to a two-hundredth of the time that jobs spend in work.
 *
 * A request at Triton cannot be cancelled, so a job that comes while a shadow's request is computed may wait for its end, and
 * so may the jobs behind it. This time is owed. It decreases by a two-hundredth of the time that jobs spend in work; an idle
 * worker counts as one with one job. While something is owed, no shadow sends a request. So an idle worker does all shadows,
 * and a loaded one only a few.
 */
export interface Pace {
  /** Accounts for the time since the last call. Call it every few milliseconds while shadows wait or work. */
  update(): void;
  /** Whether there was no moment without a job in work for five seconds. */
  readonly crowded: boolean;
  /** Whether shadows have cost jobs no more than their share: nothing is owed. */
  readonly withinBudget: boolean;
  /** Runs a shadow's request. */
  during<T>(request: () => Promise<T>): Promise<T>;
}

export interface PaceOptions {
  /** Jobs in work now. */
  readonly active: () => number;
  /** Of these, the ones with requests at Triton. */
  readonly atTriton: () => number;
  /** Milliseconds on a monotonic clock. */
  readonly now?: () => number;
}

/** What shadows may cost jobs, as a share of the time that jobs spend in work. */
const SHARE = 0.005;
/** Most that is owed, in milliseconds: a version that hangs beside jobs stops the shadows of an idle worker for five minutes. */
const MOST_OWED_MS = 1_500;
/** Longest time between two updates that counts, in milliseconds. Nothing is known of a longer one. */
const LONGEST_MS = 1_000;
/** How long there must have been a job in work before the worker counts as crowded, in milliseconds. */
const CROWDED_MS = 5_000;
/** How long the worker looks back to see how busy Triton is, in milliseconds. */
const WINDOW_MS = 10_000;
/** Beyond this, the jobs that wait behind a delayed one are too many to count. */
const BUSIEST = 0.95;

export function createPace({ active, atTriton, now = () => performance.now() }: PaceOptions): Pace {
  let updatedAt = -Infinity;
  /** Milliseconds, summed over jobs. */
  let owed = 0;
  /** Share of the time in which jobs have had requests at Triton. */
  let busy = 0;
  let requests = 0;
  /** When there was last no job in work, as far as is known. */
  let emptyAt = -Infinity;

  function update(): void {
    const ms = Math.min(LONGEST_MS, now() - updatedAt);
    if (active() === 0 || ms === LONGEST_MS) emptyAt = now();
    updatedAt = now();
    const delayed = requests > 0 ? atTriton() : 0;
    busy += (Number(atTriton() > 0) - busy) * Math.min(1, ms / WINDOW_MS);
    // In a queue that is busy for a share `b` of the time, a delay reaches 1 / (1 - b) jobs.
    const reached = 1 / (1 - Math.min(BUSIEST, busy));
    const change = (delayed * reached - SHARE * Math.max(1, active())) * ms;
    owed = Math.min(MOST_OWED_MS, Math.max(0, owed + change));
  }

  return {
    update,
    get crowded() {
      return now() - emptyAt >= CROWDED_MS;
    },
    get withinBudget() {
      return owed === 0;
    },
    async during(request) {
      update();
      requests++;
      try {
        return await request();
      } finally {
        update();
        requests--;
      }
    },
  };
}
