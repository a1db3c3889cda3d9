/** Default pause between two lines about the same outage, in milliseconds. */
export const REMINDER_MS = 60_000;

export interface Outage {
  /** Reports the current trouble; undefined if there is none. */
  tell(trouble: unknown): void;
  /** Whether the last report was without trouble; false before the first. */
  readonly well: boolean;
}

export interface OutageLines {
  /** @param seconds since the outage began: 0 for the first line, more for reminders */
  readonly away: (trouble: unknown, seconds: number) => void;
  readonly back: (seconds: number) => void;
}

export interface OutagePace {
  /** Pause between two lines, in milliseconds. */
  readonly remindMs?: number;
  /** Pause before a line about a different trouble, in milliseconds. Default: `remindMs`. */
  readonly changedMs?: number;
  /** Milliseconds on a monotonic clock. */
  readonly now?: () => number;
}

/** Turns repeated reports into one line when an outage begins, one when it ends, and reminders in between. */
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
