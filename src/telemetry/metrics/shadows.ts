/** Metrics of shadows: how they ended, and how their results differ from those of the jobs. */
import { ERROR_CODES } from '../../domain/errors.js';
import { DROP_REASONS, type ShadowReport, type ShadowResult } from '../../domain/shadow.js';
import type { Families } from './families.js';
import type { Labels } from './labels.js';

export interface ShadowFacts {
  /** The versions that do shadows, as the routes name them. */
  readonly shadowed: () => readonly { readonly model: string; readonly version: string }[];
  /** Shadows that wait for spare capacity. */
  readonly shadowsWaiting: () => number;
  /** Those in progress. */
  readonly shadowsActive: () => number;
}

/** A shadow that has ended. */
export interface EndedShadow {
  readonly model: string;
  readonly version: string;
  readonly result: ShadowResult;
  /** Why it was dropped, or the code of its error; empty otherwise. */
  readonly reason: string;
  readonly report?: Pick<ShadowReport, 'difference' | 'seconds'>;
}

/** Upper bounds. A difference below 1 level is a rounding, one above 8 can be seen. */
const LEVEL_BUCKETS = [0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 255];
const SIMILARITY_BUCKETS = [0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1];
const RATIO_BUCKETS = [0.1, 0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20];

/** Every end that a shadow may have. */
const ENDS: readonly Pick<EndedShadow, 'result' | 'reason'>[] = [
  { result: 'compared', reason: '' },
  { result: 'size differs', reason: '' },
  ...ERROR_CODES.map((reason) => ({ result: 'failed' as const, reason })),
  ...DROP_REASONS.map((reason) => ({ result: 'dropped' as const, reason })),
];

export function shadowMetrics(
  families: Families,
  labels: Labels,
  { shadowed, shadowsWaiting, shadowsActive }: ShadowFacts,
) {
  const which = ['model', 'version'] as const;
  const shadows = families.counter(
    'imagen_shadows_total',
    'Ended shadows: jobs that another version repeated or was to repeat',
    [...which, 'result', 'reason'],
    () => shadowed().flatMap(({ model, version }) => ENDS.map((end) => ({ ...labels.served(model, version), ...end }))),
  );
  families.gauge('imagen_shadows_waiting', 'Shadows that wait for spare capacity', shadowsWaiting);
  families.gauge('imagen_shadows_active', 'Shadows in progress', shadowsActive);
  const levels = families.histogram(
    'imagen_shadow_difference_levels',
    "Difference between a shadow's result and the job's: the mean of a picture, or its largest, in levels of 255",
    [...which, 'figure'],
    LEVEL_BUCKETS,
  );
  const similarity = families.histogram(
    'imagen_shadow_similarity',
    "Structural similarity (SSIM) of a shadow's result and the job's; 1 for the same picture",
    which,
    SIMILARITY_BUCKETS,
  );
  const ratios = families.histogram(
    'imagen_shadow_inference_ratio',
    "Time of the shadow's requests divided by that of the job's requests",
    which,
    RATIO_BUCKETS,
  );

  return {
    shadowEnded({ model, version, result, reason, report }: EndedShadow): void {
      const of = labels.served(model, version);
      shadows.inc({ ...of, result, reason });
      if (report?.difference) {
        levels.observe({ ...of, figure: 'mean' }, report.difference.meanLevels);
        levels.observe({ ...of, figure: 'max' }, report.difference.maxLevels);
        similarity.observe(of, report.difference.similarity);
      }
      if (report?.seconds && report.seconds.job > 0) ratios.observe(of, report.seconds.shadow / report.seconds.job);
    },
  };
}
