import { GivenBack, JobError, type Stage } from '../domain/errors.js';
import { inSpan } from '../tracing/spans.js';
import type { CompletionInput, CompletionOutput, Step, Timings } from '../domain/completion.js';
import type { Routed } from './route.js';

export type Choice = Pick<Routed, 'version' | 'arm'>;

/**
 * Collects what the stages of a job find out. The completion contains all of it, even if the job ends early.
 * Only one stage of one job writes to it at a time.
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

  /** @param onDone called after each completed stage; must not throw */
  constructor(
    readonly signal: AbortSignal,
    readonly queuedMs: number,
    private readonly onDone: (stage: Stage) => void = () => undefined,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#startedAt = now();
  }

  /**
   * Runs one stage. It does not start when the job's signal has fired, and it adds the time taken to `timing`. It converts
   * any error to the job's own reason to end (a passed deadline, a drain), or else to a JobError.
   * @param name name of the stage's span
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

  /** @throws the job's own reason to end, if its signal has fired */
  checkTime(stage: Stage): void {
    if (this.signal.aborted) throw this.#reasonOf(this.signal.reason, stage);
  }

  #reasonOf(thrown: unknown, stage: Stage): Error {
    const reason: unknown = this.signal.aborted ? this.signal.reason : thrown;
    if (reason instanceof GivenBack) return reason;
    // A passed deadline is reported with the stage in which the job is now.
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
