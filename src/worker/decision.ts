import type { Completion } from '../domain/completion.js';
import type { Choice } from '../pipeline/job-context.js';

/** What is to be told of a job. */
export interface Decision {
  readonly completion: Completion;
  /** Of the last operation, as asked for. */
  readonly model: string | undefined;
  /** A dead letter goes with the completion. */
  readonly deadLetter: boolean;
  /** What was chosen for the last operation, where this delivery came as far as that. */
  readonly last?: Choice | undefined;
  /** It had been decided before this delivery. */
  readonly replay: boolean;
}
