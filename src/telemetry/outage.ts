/** Between two lines about one and the same outage, in milliseconds, unless said otherwise. */
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

export interface OutagePace {
  /** Between two lines, in milliseconds. */
  readonly remindMs?: number;
  /** The same when something else is wrong than was said last; `remindMs` unless given. */
  readonly changedMs?: number;
  /** Milliseconds on a clock that never goes back. */
  readonly now?: () => number;
}

/** Turns what is told again and again into a line when something goes, one when it is back, and reminders in between. */
export function createOutage(
  { away, back }: OutageLines,
  { remindMs = REMINDER_MS, changedMs = remindMs, now = () => performance.now() }: OutagePace = {},
): Outage {
  let since: number | undefined;
  let saidAt = -Infinity;
  let said: unknown;
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
      if (now() - saidAt < (trouble === said ? remindMs : changedMs)) return;
      saidAt = now();
      said = trouble;
      away(trouble, seconds(since));
    },
    get well() {
      return well;
    },
  };
}
