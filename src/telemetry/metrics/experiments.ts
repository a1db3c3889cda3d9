/** Metrics of the versions in the routes: results of the arms of experiments, and which arms were stopped. */
import type { Step } from '../../domain/completion.js';
import { type Arm, ARM_ENDS, type ArmEnd, armLabel, STOP_REASONS, type StopReason } from '../../domain/experiment.js';
import type { Families } from './families.js';
import type { Labels } from './labels.js';
import type { TritonFacts } from './triton.js';

export interface ExperimentFacts {
  /** Arms in the routes. */
  readonly arms: () => readonly Arm[];
  /** Why the guard has stopped an arm; undefined if it has not. */
  readonly armStopped: (arm: Arm) => StopReason | undefined;
  /** All versions in the routes. */
  readonly routed: () => readonly { readonly model: string; readonly version: string }[];
}

export function experimentMetrics(
  families: Families,
  labels: Labels,
  { arms, armStopped, routed, catalogue }: ExperimentFacts & Pick<TritonFacts, 'catalogue'>,
) {
  families.gauges(
    'imagen_routed_version_served',
    '0 for a version that the routes file names and Triton does not serve, so that its jobs go to another one',
    ['model', 'version'],
    () =>
      routed().map(({ model, version }) => {
        const served = catalogue.contracts().get(model)?.versions.has(version) === true;
        return [{ model, version }, served ? 1 : 0] as const;
      }),
  );
  const operations = families.counter(
    'imagen_experiment_operations_total',
    'Ended operations on the arm of an experiment, by the outcome of its version',
    ['model', 'version', 'arm', 'outcome'],
    () => arms().flatMap((arm) => ARM_ENDS.map((outcome) => ({ ...labels.ofArm(arm), outcome }))),
  );
  const fallbacks = families.counter(
    'imagen_fallbacks_total',
    "Operations that the default version did after an arm's version had failed at them",
    ['model', 'version', 'arm'],
    () => arms().map((arm) => labels.ofArm(arm)),
  );
  families.gauges(
    'imagen_experiment_stopped',
    '1 for an arm that a guard stopped because it failed too often or is too slow, 0 for a guarded arm that still gets jobs',
    ['model', 'arm', 'reason'],
    () =>
      arms()
        .filter(({ guard }) => guard !== undefined)
        .flatMap((arm) => {
          const { model, arm: name } = labels.ofArm(arm);
          const stopped = armStopped(arm);
          return STOP_REASONS.map((reason) => [{ model, arm: name, reason }, stopped === reason ? 1 : 0] as const);
        }),
  );

  return {
    armEnded: (arm: Arm, outcome: ArmEnd) => operations.inc({ ...labels.ofArm(arm), outcome }),
    /** Counts the step if it fell back. */
    stepDone({ model, experiment = '', arm = '', fallbackFrom }: Step): void {
      if (fallbackFrom === undefined) return;
      const which = labels.served(model, fallbackFrom);
      fallbacks.inc({ ...which, arm: labels.arm(armLabel({ experiment, name: arm })) });
    },
  };
}
