/** Metrics of what a worker holds, its limits, and why it takes no more. */
import type { Families } from './families.js';

/** Reasons why no further job can start, regardless of the queue. Several may apply at once. */
export const PAUSES = ['starting', 'stopping', 'models', 'places', 'memory', 'alone', 'completions'] as const;
export type Pause = (typeof PAUSES)[number];

export interface IntakeFacts {
  readonly jobsActive: () => number;
  readonly jobsWaiting: () => number;
  readonly jobsParked: () => number;
  readonly decodedBytes: () => number;
  readonly codecsActive: () => number;
  readonly codecsWaiting: () => number;
  readonly limits: { readonly jobs: number; readonly decodedBytes: number };
  readonly paused: () => readonly Pause[];
  /** Buckets, or folders in them, that are unavailable. */
  readonly bucketsOpen: () => readonly { readonly name: string; readonly folder?: string; readonly access: string }[];
}

export function intakeMetrics(families: Families, facts: IntakeFacts): void {
  families.gauge('imagen_jobs_active', 'Jobs in work', facts.jobsActive);
  families.gauge('imagen_jobs_active_limit', 'Most jobs in work at once', () => facts.limits.jobs);
  families.gauge('imagen_jobs_waiting', 'Jobs pulled that wait for a place', facts.jobsWaiting);
  families.gauge(
    'imagen_jobs_parked',
    'Pulled jobs that stand aside until their model or bucket works again',
    facts.jobsParked,
  );
  families.gauge('imagen_decoded_bytes', 'Memory reserved for the pictures in work', facts.decodedBytes);
  families.gauge('imagen_decoded_bytes_limit', 'Most memory for the pictures in work', () => facts.limits.decodedBytes);
  families.gauge('imagen_codecs_active', 'Pictures being decoded, resized or encoded', facts.codecsActive);
  families.gauge('imagen_codecs_waiting', 'Pictures that wait to be decoded, resized or encoded', facts.codecsWaiting);
  families.gauges(
    'imagen_bucket_unavailable',
    '1 for each bucket, or folder of a configured prefix, that the last check found unusable; its jobs stand aside',
    ['bucket', 'folder', 'access'],
    () => facts.bucketsOpen().map(({ name: bucket, folder = '', access }) => [{ bucket, folder, access }, 1] as const),
  );
  families.gauges(
    'imagen_intake_paused',
    '1 for each reason why this worker can start no further job now',
    ['reason'],
    () => {
      const now = facts.paused();
      return PAUSES.map((reason) => [{ reason }, now.includes(reason) ? 1 : 0] as const);
    },
  );
}
