import type { Completion } from '../domain/completion.js';
import type { Choice } from '../pipeline/job-context.js';

/** What to announce about a job. */
export interface Decision {
  readonly completion: Completion;
  /** Model of the last operation, as requested. */
  readonly model: string | undefined;
  /** Whether a dead letter goes with the completion. */
  readonly deadLetter: boolean;
  /** The choice for the last operation, if this delivery reached it. */
  readonly last?: Choice | undefined;
  /** Summed time of each operation's requests, in seconds. Present only if this delivery has done the work. */
  readonly inferenceSeconds?: readonly number[] | undefined;
  /** Whether a record holds it. Without one, nothing makes it final, and it is the end of a message and not of a job. */
  readonly recorded: boolean;
  /** Whether the job was decided before this delivery. */
  readonly replay: boolean;
}
