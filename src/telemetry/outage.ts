/** Between two lines about one and the same outage, in milliseconds. */
export const REMINDER_MS = 60_000;

export interface Outage {
  /** Tells what is wrong; undefined when nothing is. */
  tell(trouble: unknown): void;
  /** Whether nothing was wrong when last told; false before that. */
  readonly well: boolean;
}

export interface OutageLines {
  /** @param seconds for which it has been so: 0 for the first line, more for reminders */
  readonly away: (trouble: unknown, seconds: number) => void;
  readonly back: (seconds: number) => void;
}

/**
 * Turns what is told many times a minute into a line when something goes, a line when it is back, and a reminder a minute
 * in between.
 * @param now milliseconds on a clock that never goes back
 */
export function createOutage({ away, back }: OutageLines, now: () => number = () => performance.now()): Outage {
  let since: number | undefined;
  let saidAt = -Infinity;
  let well = false;
  const seconds = (from: number) => Math.round((now() - from) / 1000);

  return {
    tell(trouble) {
      well = trouble === undefined;
      if (well) {
        if (since !== undefined) back(seconds(since));
        since = undefined;
        saidAt = -Infinity;
        return;
      }
      since ??= now();
      if (now() - saidAt < REMINDER_MS) return;
      saidAt = now();
      away(trouble, seconds(since));
    },
    get well() {
      return well;
    },
  };
}
