/** A shadow: a job that another version does once more, to compare the two results. Nobody is told of it. */
import { z } from 'zod';
import type { Completion } from './completion.js';
import { GivenBack } from './errors.js';
import { pointOf } from './fingerprint.js';
import type { Job } from './job.js';

/** The shadow of a model in the routes file. */
export interface ShadowPlan {
  readonly version: string;
  /** Share of the jobs that get a shadow; above 0, at most 1. */
  readonly share: number;
}

/** Whether a job gets a shadow. The same jobs get one on every worker, and with a larger share they still do. */
export function isShadowed({ share }: ShadowPlan, model: string, jobId: string): boolean {
  return pointOf(`shadow\n${model}\n${jobId}`) < share;
}

/** A job that was done and announced. */
export interface DoneJob {
  readonly job: Job;
  readonly completion: Completion;
  /** Of each operation: the time of its requests from sending to the answer, summed, in seconds. */
  readonly inferenceSeconds: readonly number[];
}

/** How a shadow ended. `size differs`: the two pictures cannot be compared. `dropped`: it was not done, or not finished. */
export const SHADOW_RESULTS = ['compared', 'size differs', 'failed', 'dropped'] as const;
export type ShadowResult = (typeof SHADOW_RESULTS)[number];

/**
 * Why a shadow was dropped: too many were waiting (`full`), jobs needed the worker (`busy`), its pictures had no room in the
 * memory (`memory`), the routes named it no more (`withdrawn`), its version has lately not answered (`resting`), or the worker
 * stopped.
 */
export const DROP_REASONS = ['full', 'busy', 'memory', 'withdrawn', 'resting', 'stopping'] as const;
export type DropReason = (typeof DROP_REASONS)[number];

/** Thrown when a shadow ends because it must not take what jobs need. */
export class Dropped extends GivenBack {
  constructor(readonly reason: DropReason) {
    super(`the shadow is dropped: ${reason}`);
  }
}

const levels = z.number().min(0).max(255);
const size = z.object({ width: z.int(), height: z.int() });

/** How two pictures of one size differ. Colours count as they are seen on black, so hidden ones do not. */
const differenceSchema = z.object({
  maxLevels: levels.describe('Largest difference of a channel of a pixel, in levels of 255'),
  meanLevels: levels.describe('Mean of the absolute differences of all channels of all pixels'),
  shareAbove8: z
    .number()
    .min(0)
    .max(1)
    .describe('Share of the pixels with a channel that differs by more than 8 levels'),
  similarity: z
    .number()
    .min(-1)
    .max(1)
    .describe('Structural similarity (SSIM) of the luma, in windows of 8 × 8 pixels'),
});
export type Difference = z.infer<typeof differenceSchema>;

/** What is kept of a shadow, beside its picture. Fields that a newer worker adds are ignored. */
export const shadowReportSchema = z.object({
  jobId: z.string(),
  model: z.string(),
  version: z.string(),
  servedVersion: z.string().describe("The version that did the job's own operation"),
  result: z.enum(['compared', 'size differs', 'failed']),
  difference: differenceSchema.optional(),
  sizes: z.object({ job: size, shadow: size }).optional(),
  error: z.object({ code: z.string(), stage: z.string(), message: z.string() }).optional(),
  seconds: z
    .object({ job: z.number(), shadow: z.number() })
    .optional()
    .describe("Time of the model's requests from sending to the answer, summed"),
  pictures: z.object({ job: z.string(), shadow: z.string().optional() }),
  worker: z.string(),
  time: z.string(),
});
export type ShadowReport = z.infer<typeof shadowReportSchema>;
