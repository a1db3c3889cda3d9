/** Experiments: versions of one model beside each other, each with its share of the jobs. */
import { canonicalJson, sha256 } from './fingerprint.js';
import type { Job } from './job.js';

/** When an arm has failed too often: this share of at least so many operations within the window. */
export interface GuardLimits {
  /** Above 0, at most 1. */
  readonly maxFailureRatio: number;
  readonly minOperations: number;
  readonly windowSeconds: number;
}

/** An experiment as the routes file has it. */
export interface ExperimentPlan {
  readonly name: string;
  /** At least two; their order counts. */
  readonly arms: readonly { readonly name: string; readonly version: string; readonly weight: number }[];
  readonly guard?: GuardLimits | undefined;
}

/** One of the versions that an experiment compares. */
export interface Arm {
  readonly model: string;
  readonly experiment: string;
  /** Of the experiment with all that it says: whatever is edited in it makes another one. */
  readonly revision: string;
  readonly name: string;
  readonly version: string;
  /** That the model's other jobs get, and those that this one fails at. */
  readonly defaultVersion: string;
  /** Its share of the jobs is that of the sum. */
  readonly weight: number;
  /** Absent where nobody judges it: the experiment has no guard, or the version is the default, which all fall back on. */
  readonly guard?: GuardLimits;
}

/**
 * How an operation on an arm ended: `failed` where its version did and the default version did not, or there was none to
 * ask; `unclear` where both did, so that it may be the picture's fault. One that was put off, or that its job's end broke
 * off, has not ended.
 */
export const ARM_ENDS = ['done', 'failed', 'unclear'] as const;
export type ArmEnd = (typeof ARM_ENDS)[number];

/** The name by which metrics and logs know an arm. */
export const armLabel = ({ experiment, name }: Pick<Arm, 'experiment' | 'name'>): string => `${experiment}/${name}`;

/** Each once, as `<name>~<revision>`: as decisions about its arms are named. */
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

/** Whoever a job is for gets the same arm every time; without one the job itself does, however often it is delivered. */
export const stickyKey = ({ experimentKey, jobId }: Pick<Job, 'experimentKey' | 'jobId'>): string =>
  experimentKey ?? jobId;

/** Digits of a hash that a double holds exactly. */
const HEX_DIGITS = 13;

/**
 * The arm of a key: each has a point between 0 and 1, by hash of the experiment's name and itself, and the arms divide
 * that line among them in their order. So where weights change, only those keys move that lie between an old border and
 * the new one; another order or another name of the experiment throws all of them anew.
 * @param arms of one experiment
 */
export function chooseArm(arms: readonly Arm[], key: string): Arm | undefined {
  const total = arms.reduce((sum, { weight }) => sum + weight, 0);
  const hash = sha256(`arm\n${arms[0]?.experiment ?? ''}\n${key}`).slice(0, HEX_DIGITS);
  const point = (parseInt(hash, 16) / 16 ** HEX_DIGITS) * total;
  let border = 0;
  // Where the product was rounded up to the sum, no border lies beyond it.
  return arms.find(({ weight }) => point < (border += weight)) ?? arms.findLast(({ weight }) => weight > 0);
}
