import type { ModelContract, VersionContract } from '../domain/contract.js';
import type { Arm } from '../domain/experiment.js';
import type { Operation, ParameterValue } from '../domain/job.js';

/** An operation with the model and version that will serve it. */
export interface Routed {
  readonly operation: Operation;
  readonly model: ModelContract;
  readonly version: string;
  readonly contract: VersionContract;
  readonly parameters: Readonly<Record<string, ParameterValue>>;
  /** Arm of the experiment that chose this version. */
  readonly arm?: Arm;
  /** The same operation on the default version, in no arm. It runs if the arm's version cannot do it, or fails. */
  readonly fallback?: Routed;
}
