import { GivenBack, JobError, type Stage } from '../domain/errors.js';
import { inSpan } from '../tracing/spans.js';
import type { CompletionInput, CompletionOutput, Step, Timings } from '../domain/completion.js';
import { reasonToStop } from './retry.js';
import type { Routed } from './routed.js';

export type Choice = Pick<Routed, 'version' | 'arm'>;

/** What the context needs to know about a step (steps.ts). */
interface About {
  readonly name: string;
  readonly model?: string;
  readonly stage: Stage;
  readonly timing?: keyof Timings;
}

/**
 * Collects what the steps of a job find out. The completion contains all of it, even if the job ends early.
 * Only one step of one job writes to it at a time.
 */
export class JobContext {
  input: CompletionInput | undefined;
  output: CompletionOutput | undefined;
  /** The version chosen for the last operation, and the arm that chose it. */
  last: Choice | undefined;
  readonly steps: Step[] = [];
  /** Of each step: the time of its requests from sending to the answer, summed, in seconds. */
  readonly inferenceSeconds: number[] = [];
  readonly warnings: string[] = [];
  readonly #timings: Partial<Timings> = {};
  readonly #startedAt: number;

  /** @param onDone called with the name of each completed step; must not throw */
  constructor(
    readonly signal: AbortSignal,
    readonly queuedMs: number,
    private readonly onDone: (step: string) => void = () => undefined,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#startedAt = now();
  }

  /**
   * Runs one step in a span. The step does not start when the job's signal has fired. Its time is added to its timing. Any
   * error is converted to the job's own reason to end (a passed deadline, a drain), or else to a JobError.
   * `reasonToStop` says which.
   */
  runStep(step: About, work: () => Promise<void> | void): Promise<void> {
    const { name, model } = step;
    return inSpan(model === undefined ? name : `${name} ${model}`, {}, () => this.#timed(step, work));
  }

  async #timed({ name, stage, timing }: About, work: () => Promise<void> | void): Promise<void> {
    const startedAt = this.now();
    try {
      this.signal.throwIfAborted();
      await work();
      this.onDone(name);
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
    const reason = this.signal.aborted ? reasonToStop(this.signal, thrown) : thrown;
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
