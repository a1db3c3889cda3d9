/** Metrics of how jobs end, and how long they take. */
import type { Completion } from '../../domain/completion.js';
import { ERROR_CODES, ERRORS } from '../../domain/errors.js';
import type { ExperimentFacts } from './experiments.js';
import type { Families } from './families.js';
import { type Labels, NO_ARM } from './labels.js';

export interface JobEnd {
  readonly completion: Completion;
  /** Model of the last operation, as requested. */
  readonly model: string | undefined;
  /** Version of the last operation, if one was chosen. */
  readonly version: string | undefined;
  /** `<experiment>/<arm>` of the last operation. */
  readonly arm: string | undefined;
  /** Whether the job had ended before this delivery. */
  readonly replay: boolean;
  /** Time from receipt to the published completion, in milliseconds. */
  readonly tookMs: number;
  /** The part of that time spent on publishing the completion and the dead letter, if there is one. */
  readonly publishMs: number;
}

/** Upper bounds in seconds. The stage `queued` may take hours. */
const STAGE_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600];
const JOB_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800];

/** The ends of a job, except cancellation, which no alert uses. */
const ENDS = [
  { status: 'succeeded', code: '' },
  ...ERROR_CODES.map((code) => ({ status: ERRORS[code].verdict === 'expire' ? 'expired' : 'failed', code })),
];

export function jobMetrics(families: Families, labels: Labels, { arms }: Pick<ExperimentFacts, 'arms'>) {
  const known = () => [
    ...labels.known().map((which) => ({ ...which, arm: NO_ARM })),
    // If an arm's version fails, the default version does the operation, and the job counts for that arm.
    ...arms().flatMap((arm) => [labels.ofArm(arm), labels.ofArm({ ...arm, version: arm.defaultVersion })]),
  ];
  const jobs = families.counter(
    'imagen_jobs_total',
    'Jobs that ended',
    ['model', 'version', 'arm', 'status', 'code'],
    () => known().flatMap((which) => ENDS.map((end) => ({ ...which, ...end }))),
  );
  const durations = families.histogram(
    'imagen_job_duration_seconds',
    'Time from the receipt of a job to its published completion',
    ['model', 'version', 'arm'],
    JOB_BUCKETS,
  );
  const stages = families.histogram(
    'imagen_stage_duration_seconds',
    'Time that jobs spent in each stage; queued is the time from publish to the start of the work',
    ['stage'],
    STAGE_BUCKETS,
  );
  const replays = families.counter(
    'imagen_replays_total',
    'Deliveries of jobs that had already ended, answered from their record',
  );

  return {
    jobEnded({ completion, model, version, arm, replay, tookMs, publishMs }: JobEnd): void {
      if (replay) {
        replays.inc();
        return;
      }
      const which = { ...labels.served(model, version), arm: labels.arm(arm) };
      jobs.inc({ ...which, status: completion.status, code: labels.code(completion.error?.code) });
      durations.observe(which, tookMs / 1000);
      for (const [stage, ms = 0] of Object.entries(completion.timingsMs ?? {})) {
        if (stage !== 'total') stages.observe({ stage }, ms / 1000);
      }
      stages.observe({ stage: 'publish' }, publishMs / 1000);
    },
  };
}
