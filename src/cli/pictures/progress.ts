/** Tells on standard error how far a run of many jobs is. */
import type { Progress } from '../../client/submit-all.js';

import { oneLine } from '../output.js';

export interface Teller {
  update(progress: Progress): void;
  /** Prints a line that stays, such as a failure. */
  line(text: string): void;
  /** Prints a text of several lines as it is. */
  block(text: string): void;
  /** Removes the bar. Nothing is told of progress any more. */
  end(): void;
}

interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const REDRAW_MS = 100;
/** Pause between two lines where there is no terminal, in milliseconds. */
const LINE_MS = 5_000;
/** The rate is that of the last seconds, in milliseconds. */
const WINDOW_MS = 15_000;
const BAR = 24;
/** How often to tell the time and the rate where nothing happens, in milliseconds. */
const TICK_MS = 1_000;
const NOTHING: Progress = { taken: 0, published: 0, before: 0, refused: 0, succeeded: 0, failed: 0 };

/** Tells also where nothing happens, until it is ended. */

export function createTeller(total: number, waits: boolean, screen: Screen = process.stderr, now = Date.now): Teller {
  const isTerminal = screen.isTTY === true;
  const rate = createRate(now());
  let shown = false;
  let toldAt = isTerminal ? 0 : now();
  const clear = () => {
    if (shown) screen.write('\r\u001b[K');
    shown = false;
  };
  let last = NOTHING;
  const block = (text: string) => {
    clear();
    screen.write(`${text}\n`);
  };
  const teller: Teller = {
    update(progress) {
      last = progress;
      const done = doneOf(progress, waits);
      rate.add(now(), done);
      if (now() - toldAt < (isTerminal ? REDRAW_MS : LINE_MS)) return;
      toldAt = now();
      const text = describe(progress, done, total, rate.perSecond(now()));
      if (!isTerminal) {
        screen.write(`${text}\n`);
        return;
      }
      const bar = barOf(done / total);
      screen.write(`\r\u001b[K${`${bar} ${text}`.slice(0, (screen.columns ?? 80) - 1)}`);
      shown = true;
    },
    line: (text) => block(oneLine(text)),
    block,
    end() {
      clearInterval(timer);
      clear();
    },
  };
  const timer = setInterval(() => teller.update(last), TICK_MS).unref();
  return teller;
}

/** Number of pictures of which the caller knows all that it waits for. */
function doneOf({ published, before, refused, succeeded, failed }: Progress, waits: boolean): number {
  return waits ? succeeded + failed + refused : published + before + refused;
}

function describe({ published, refused, failed }: Progress, done: number, total: number, perSecond: number): string {
  const bad = refused + failed;
  const left = perSecond > 0 ? timeOf((total - done) / perSecond) : undefined;
  return [
    `${done}/${total}`,
    `${perSecond.toFixed(1)} jobs/s`,
    ...(left === undefined || done === total ? [] : [`${left} left`]),
    ...(bad > 0 ? [`${bad} failed`] : []),
    ...(published > done ? [`${published} published`] : []),
  ].join('  ');
}

const barOf = (share: number) => `[${'#'.repeat(Math.round(share * BAR)).padEnd(BAR, '.')}]`;

/** @param seconds may have a fraction */
export function timeOf(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** Jobs a second over the last seconds. */
function createRate(startedAt: number) {
  const points: { readonly at: number; readonly done: number }[] = [{ at: startedAt, done: 0 }];
  return {
    add(at: number, done: number) {
      points.push({ at, done });
      while (points.length > 2 && at - (points[1]?.at ?? at) > WINDOW_MS) points.shift();
    },
    perSecond(at: number) {
      const [first] = points;
      const last = points.at(-1);
      if (!first || !last || at <= first.at) return 0;
      return ((last.done - first.done) * 1000) / (at - first.at);
    },
  };
}
