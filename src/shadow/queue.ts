/** The shadows that wait for spare capacity. A worker does one at a time, and drops them before a job waits for one. */
import { AsyncResource } from 'node:async_hooks';
import { GivenBack } from '../domain/errors.js';
import { Dropped, type DropReason, type ShadowReport } from '../domain/shadow.js';
import type { Shadow } from './plan.js';

/** What the jobs of the worker need now. */
export interface JobsLoad {
  /** Called every few milliseconds while shadows wait or work. */
  readonly update: () => void;
  /** Whether no job needs what a shadow would take. Only then does one take anything. */
  readonly quiet: () => boolean;
  /** Whether a shadow may begin, or send a request. */
  readonly withinBudget: () => boolean;
  /** Whether a job waits for what a shadow in progress may hold. The shadow then ends. */
  readonly pressed: () => boolean;
}

export type ShadowEnd =
  | { readonly kind: 'reported'; readonly report: ShadowReport }
  | { readonly kind: 'dropped'; readonly reason: DropReason }
  /** The worker's own code threw. */
  | { readonly kind: 'faulty'; readonly error: unknown };

/** What a shadow has while it is in work. */
export interface Hold {
  /** Ends the shadow, with a `Dropped` or another reason. */
  readonly end: (reason: Error) => void;
  readonly signal: AbortSignal;
  /** Waits until it is quiet. @throws the signal's reason */
  readonly pause: () => Promise<void>;
  /** Waits until it is quiet and a request may be sent. @throws the signal's reason */
  readonly turn: () => Promise<void>;
}

export interface ShadowQueueOptions {
  readonly load: JobsLoad;
  /** Why a shadow is not to be done any more. Called at every check. */
  readonly whyNot: (shadow: Shadow) => DropReason | undefined;
  /** @throws Dropped */
  readonly work: (shadow: Shadow, hold: Hold) => Promise<ShadowReport>;
  /** Called with how each shadow ended; must not throw. */
  readonly onEnd: (shadow: Shadow, end: ShadowEnd) => void;
}

export interface ShadowQueue {
  /** Takes a shadow, or drops it if too many wait. It begins later, never during this call. */
  offer(shadow: Shadow): void;
  readonly waiting: number;
  /** Whether one is in progress. */
  readonly active: boolean;
  /** Drops all shadows, also those that are offered later. The one in progress ends soon: a decoder cannot be interrupted. */
  stop(): void;
}

/** Limit of shadows that wait. Each is a small object: pictures are read when it begins. */
const MOST_WAITING = 64;
/** Pause before a shadow begins, in milliseconds. Its job's ack has gone by then. */
const BEGIN_MS = 100;
/** Pause between two checks, while shadows wait or work, in milliseconds. */
const CHECK_MS = 10;
/** Longest time from the beginning of a shadow to its end, the time in which jobs keep it waiting included, in milliseconds. */
const LONGEST_MS = 300_000;

/** Every shadow ends its own signal, so the reason is made once. */
const OVER = new GivenBack('the shadow is over');

export function createShadowQueue(options: ShadowQueueOptions): ShadowQueue {
  return new OneByOne(options);
}

class OneByOne implements ShadowQueue {
  #waiting: Shadow[] = [];
  readonly #stopping = new AbortController();
  #active = false;
  #timer: NodeJS.Timeout | undefined;
  /** Outside of any job's trace, whichever job's offer has set the timer. */
  readonly #check = AsyncResource.bind(() => this.#beginNext());

  constructor(private readonly options: ShadowQueueOptions) {}

  offer(shadow: Shadow): void {
    if (this.#stopping.signal.aborted) {
      this.#drop(shadow, 'stopping');
      return;
    }
    if (this.#waiting.length >= MOST_WAITING) {
      this.#drop(shadow, 'full');
      return;
    }
    this.#waiting.push(shadow);
    this.#arm(BEGIN_MS);
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  get active(): boolean {
    return this.#active;
  }

  stop(): void {
    this.#stopping.abort();
    clearTimeout(this.#timer);
    for (const shadow of this.#waiting.splice(0)) this.#drop(shadow, 'stopping');
  }

  #drop(shadow: Shadow, reason: DropReason): void {
    this.options.onEnd(shadow, { kind: 'dropped', reason });
  }

  #arm(ms: number): void {
    if (this.#active || this.#stopping.signal.aborted || this.#waiting.length === 0) return;
    this.#timer ??= setTimeout(this.#check, ms).unref();
  }

  #beginNext(): void {
    this.#timer = undefined;
    const { load } = this.options;
    load.update();
    this.#dropUnwanted();
    const next = load.quiet() && load.withinBudget() ? this.#waiting.shift() : undefined;
    if (next) void this.#workOn(next);
    else this.#arm(CHECK_MS);
  }

  #dropUnwanted(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const shadow of waiting) {
      const reason = this.options.whyNot(shadow);
      if (reason) this.#drop(shadow, reason);
      else this.#waiting.push(shadow);
    }
  }

  /** Never rejects. */
  async #workOn(shadow: Shadow): Promise<void> {
    this.#active = true;
    const { load, whyNot, work, onEnd } = this.options;
    const ending = new AbortController();
    const end = (reason: Error) => ending.abort(reason);
    const stop = () => end(new Dropped('stopping'));
    this.#stopping.signal.addEventListener('abort', stop, { once: true });
    const giveUpAt = performance.now() + LONGEST_MS;
    const watch = setInterval(() => {
      load.update();
      const reason = whyNot(shadow);
      if (reason) end(new Dropped(reason));
      if (load.pressed() || performance.now() > giveUpAt) end(new Dropped('busy'));
    }, CHECK_MS);
    const until = async (may: () => boolean) => {
      do {
        ending.signal.throwIfAborted();
        await new Promise((resume) => setTimeout(resume, may() ? 0 : CHECK_MS));
      } while (!may());
      ending.signal.throwIfAborted();
    };
    const pause = () => until(load.quiet);
    const turn = () => until(() => load.quiet() && load.withinBudget());
    try {
      onEnd(shadow, { kind: 'reported', report: await work(shadow, { end, signal: ending.signal, pause, turn }) });
    } catch (thrown) {
      if (thrown instanceof Dropped) this.#drop(shadow, thrown.reason);
      else onEnd(shadow, { kind: 'faulty', error: thrown });
    } finally {
      clearInterval(watch);
      this.#stopping.signal.removeEventListener('abort', stop);
      end(OVER); // requests that still wait for their turn
      this.#active = false;
      this.#arm(BEGIN_MS);
    }
  }
}
