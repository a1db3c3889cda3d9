import { GivenBack, JobError, type Stage } from '../domain/errors.js';
import { inSpan } from '../tracing/spans.js';
import type { CompletionInput, CompletionOutput, Step, Timings } from '../domain/completion.js';
import type { Routed } from './route.js';

export type Choice = Pick<Routed, 'version' | 'arm'>;

/**
 * What is known of a job while it walks through the rooms: its completion tells all of it, however far the job came.
 * One job writes to it, from one stage at a time.
 */
export class JobContext {
  input: CompletionInput | undefined;
  output: CompletionOutput | undefined;
  /** The version chosen for the last operation, and the arm that chose it. */
  last: Choice | undefined;
  readonly steps: Step[] = [];
  readonly warnings: string[] = [];
  readonly #timings: Partial<Timings> = {};
  readonly #startedAt: number;

  /** @param onDone told of each stage that has been done; must not throw */
  constructor(
    readonly signal: AbortSignal,
    readonly queuedMs: number,
    private readonly onDone: (stage: Stage) => void = () => undefined,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#startedAt = now();
  }

  /**
   * Runs one stage: refuses to begin when the job's time is over, adds the time taken under `timing`, and turns
   * whatever is thrown into the job's own reason to end (a passed deadline, a drain) or into a JobError.
   * @param name of its span
   */
  stage<T>(
    stage: Stage,
    timing: keyof Timings | undefined,
    work: () => Promise<T> | T,
    name: string = stage,
  ): Promise<T> {
    return inSpan(name, {}, () => this.#timed(stage, timing, work));
  }

  async #timed<T>(stage: Stage, timing: keyof Timings | undefined, work: () => Promise<T> | T): Promise<T> {
    const startedAt = this.now();
    try {
      this.signal.throwIfAborted();
      const done = await work();
      this.onDone(stage);
      return done;
    } catch (thrown) {
      throw this.#reasonOf(thrown, stage);
    } finally {
      if (timing) this.#timings[timing] = round((this.#timings[timing] ?? 0) + this.now() - startedAt);
    }
  }

  /** @throws the job's own reason to end, if there is one by now */
  checkTime(stage: Stage): void {
    if (this.signal.aborted) throw this.#reasonOf(this.signal.reason, stage);
  }

  #reasonOf(thrown: unknown, stage: Stage): Error {
    const reason: unknown = this.signal.aborted ? this.signal.reason : thrown;
    if (reason instanceof GivenBack) return reason;
    // A passed deadline is found out wherever the job happens to be.
    if (reason instanceof JobError && reason === this.signal.reason) {
      return new JobError(reason.code, reason.message, { stage });
    }
    return JobError.from(reason, stage);
  }

  timings(): Timings {
    return { queued: round(this.queuedMs), ...this.#timings, total: round(this.now() - this.#startedAt) };
  }
}

function round(ms: number): number {
  return Math.max(0, Math.round(ms));
}
