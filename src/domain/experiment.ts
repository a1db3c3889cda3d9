/** Experiments compare versions of one model. Each version gets a share of the jobs. */
import { canonicalJson, pointOf, sha256 } from './fingerprint.js';
import type { Job } from './job.js';

/**
 * When to stop an arm: its failures reach the ratio, or its requests are too slow, and the window has at least
 * `minOperations`.
 */
export interface GuardLimits {
  /** Share of failed operations at which the arm is stopped; above 0, at most 1. */
  readonly maxFailureRatio: number;
  readonly minOperations: number;
  readonly windowSeconds: number;
  /**
   * Longest time for which the requests of one operation may be at Triton, in seconds. An operation that takes longer is
   * given up, counts as failed, and is done by the default version.
   */
  readonly maxSeconds?: number | undefined;
  /** The arm is stopped when its requests take this many times as long as the default version's of like size; above 1. */
  readonly maxLatencyRatio?: number | undefined;
}

/** Why an arm was stopped: it failed too often, or it took too long. */
export const STOP_REASONS = ['failures', 'slow'] as const;
export type StopReason = (typeof STOP_REASONS)[number];

/** An experiment in the routes file. */
export interface ExperimentPlan {
  readonly name: string;
  /** At least two arms. Their order matters. */
  readonly arms: readonly { readonly name: string; readonly version: string; readonly weight: number }[];
  readonly guard?: GuardLimits | undefined;
}

/** One of the versions that an experiment compares. */
export interface Arm {
  readonly model: string;
  readonly experiment: string;
  /** Hash of the whole experiment. Any edit of the experiment gives another revision. */
  readonly revision: string;
  readonly name: string;
  readonly version: string;
  /** The version for the model's other jobs, and for operations at which this arm's version fails. */
  readonly defaultVersion: string;
  /** The arm's share of the jobs is its weight divided by the sum of all weights. */
  readonly weight: number;
  /** Absent if the experiment has no guard, or if the version is the default, on which all arms fall back. */
  readonly guard?: GuardLimits;
}

/**
 * How an operation on an arm ended. `failed`: its version failed, and the default version succeeded or could not be used.
 * `unclear`: both versions failed, so the picture may be the cause. An operation that was deferred, or aborted because its
 * job ended, has not ended.
 */
export const ARM_ENDS = ['done', 'failed', 'unclear'] as const;
export type ArmEnd = (typeof ARM_ENDS)[number];

/** Name of an arm in metrics and logs. */
export const armLabel = ({ experiment, name }: Pick<Arm, 'experiment' | 'name'>): string => `${experiment}/${name}`;

/** Each experiment of the arms once, as `<name>~<revision>`, like the names of the objects that stop arms. */
export const experimentsOf = (arms: readonly Arm[]): string[] => [
  ...new Set(arms.map(({ experiment, revision }) => `${experiment}~${revision}`)),
];

export function armsOf(model: string, defaultVersion: string, experiment: ExperimentPlan): Arm[] {
  const { name, arms, guard } = experiment;
  const revision = sha256(canonicalJson({ model, experiment })).slice(0, 12);
  return arms.map((arm) => ({
    ...{ model, experiment: name, revision, defaultVersion, ...arm },
    ...(guard !== undefined && arm.version !== defaultVersion ? { guard } : {}),
  }));
}

/** Jobs with the same key always get the same arm. A job without a key uses its id, so that redeliveries keep their arm. */
export const stickyKey = ({ experimentKey, jobId }: Pick<Job, 'experimentKey' | 'jobId'>): string =>
  experimentKey ?? jobId;

/**
 * Chooses the arm of a key. A hash of the experiment's name and the key gives a point between 0 and 1. The arms divide that
 * range in their order, by weight. When weights change, only keys between an old border and the new one change their arm.
 * Another order of the arms, or another name of the experiment, assigns all keys anew.
 * @param arms arms of one experiment
 */
export function chooseArm(arms: readonly Arm[], key: string): Arm | undefined {
  const total = arms.reduce((sum, { weight }) => sum + weight, 0);
  const point = pointOf(`arm\n${arms[0]?.experiment ?? ''}\n${key}`) * total;
  let border = 0;
  // If the product was rounded up to the sum, no border is above it, and the last arm with a weight gets the key.
  return arms.find(({ weight }) => point < (border += weight)) ?? arms.findLast(({ weight }) => weight > 0);
}
