import { armStopRef, type ArmStop, encodeArmStop, readArmStop } from '../records/arm-stop.js';
import type { Step } from '../domain/completion.js';
import type { Arm, ArmEnd, GuardLimits, StopReason } from '../domain/experiment.js';
import type { ObjectStore } from '../domain/ports.js';
import type { ArmFailure } from '../pipeline/job-state.js';
import type { StepWork } from '../pipeline/transform.js';
import { type Counts, createTally, type Tally } from './canary-tally.js';
import { createLatencies, type Latencies, MOST_KEPT } from './latency.js';

/**
 * Stops arms of experiments that fail too often or are too slow. Each worker counts its own operations. The first worker
 * whose count reaches the limits decides for all, with an object in storage that the others find when they poll. If storage
 * is away, a worker keeps its own decision and writes it when storage is back.
 */
export interface Guard {
  /** Whether an arm gets no more jobs, as far as this worker knows. */
  stopped(arm: Arm): boolean;
  /** Why it gets none; undefined while it gets jobs. */
  stoppedFor(arm: Arm): StopReason | undefined;
  /** Counts how an operation on an arm ended. A failure's details go into the decision. */
  ended(arm: Arm, end: ArmEnd, about?: ArmFailure): void;
  /** Takes in what the requests of an operation have cost, on an arm or on any other version of its model. */
  took(step: Step, work: StepWork): void;
  /**
   * Checks which arms of the current routes have been stopped, and forgets arms that are no longer in the routes.
   * @throws JobError `STORAGE_UNAVAILABLE`, after it has checked all arms
   */
  poll(signal: AbortSignal): Promise<void>;
}

export interface CanaryGuardOptions {
  readonly store: ObjectStore;
  readonly statePrefix: string;
  /** Name of this worker in its decisions. */
  readonly worker: string;
  /** Arms of the current routes; called each time. */
  readonly arms: () => readonly Arm[];
  /** Called once for each stopped arm; must not throw. `here` is true if this worker's own count stopped the arm. */
  readonly onStop: (stop: Partial<ArmStop>, here: boolean) => void;
  /** Milliseconds on a monotonic clock. */
  readonly now?: () => number;
}

interface Judged {
  readonly tally: Tally;
  readonly latencies: Latencies;
  /** This worker's own decision, until storage has it. */
  unwritten?: ArmStop | undefined;
  stopped?: StopReason;
}

const createJudged = (windowMs: number, now: CanaryGuardOptions['now']): Judged => ({
  tally: createTally(windowMs, now),
  latencies: createLatencies(windowMs, now),
});

/** Why an arm is stopped, with the figures beyond the counts. */
type Why = Pick<ArmStop, 'reason' | 'slow' | 'latencyRatio' | 'jobId' | 'error'> & { readonly reason: StopReason };

export function createCanaryGuard({ store, statePrefix, worker, arms, onStop, now }: CanaryGuardOptions): Guard {
  const judged = new Map<string, Judged>();
  const guardedArms = () => arms().flatMap((arm) => (arm.guard ? [{ arm, guard: arm.guard }] : []));
  const keyOf = (arm: Arm) => `${arm.experiment}/${arm.name}/${arm.revision}`;

  function entry(arm: Arm, windowSeconds: number): Judged {
    const key = keyOf(arm);
    const one = judged.get(key) ?? createJudged(windowSeconds * 1000, now);
    judged.set(key, one);
    return one;
  }

  function stop(one: Judged, about: Partial<ArmStop>, here: boolean): void {
    if (one.stopped) return; // this worker stopped the arm while it asked storage
    one.stopped = about.reason ?? 'failures';
    onStop(about, here);
  }

  function decide(arm: Arm, one: Judged, why: Why): void {
    const { operations, failures } = one.tally.read();
    const time = new Date().toISOString();
    const decision = { ...aboutArm(arm), operations, failures, ...why, worker, time };
    one.unwritten = decision;
    stop(one, decision, true);
    // If storage is away, the next `poll` reports it and writes again.
    write(arm, one, decision, new AbortController().signal).catch(() => undefined);
  }

  /** Creates the object only if it does not exist. If another worker was first, its decision counts equally. */
  async function write(arm: Arm, one: Judged, decision: ArmStop, signal: AbortSignal): Promise<void> {
    await store.create(armStopRef(statePrefix, arm), encodeArmStop(decision), {
      contentType: 'application/json',
      signal,
    });
    one.unwritten = undefined;
  }

  async function pollArm(arm: Arm, windowSeconds: number, signal: AbortSignal): Promise<void> {
    const one = entry(arm, windowSeconds);
    if (one.unwritten) return write(arm, one, one.unwritten, signal);
    if (one.stopped) return;
    const found = await readArmStop(store, statePrefix, arm, signal);
    if (found) stop(one, { ...aboutArm(arm), ...found }, false);
  }

  return {
    stopped: (arm) => judged.get(keyOf(arm))?.stopped !== undefined,
    stoppedFor: (arm) => judged.get(keyOf(arm))?.stopped,
    ended(arm, end, about) {
      const { guard } = arm;
      if (!guard || end === 'unclear') return;
      const one = entry(arm, guard.windowSeconds);
      one.tally.add(end === 'done' ? 'done' : tookTooLong(about) ? 'slow' : 'failed');
      const counts = one.tally.read();
      if (one.stopped || !failsTooOften(counts, guard)) return;
      decide(arm, one, { ...whyFailed(counts), ...lastFailure(about) });
    },
    took(step, { computed, seconds }) {
      if (step.requests === 0) return;
      const [pixels, each] = [computed / step.requests, seconds / step.requests];
      for (const { arm, guard } of guardedArms()) {
        const side = sideOf(arm, step);
        if (guard.maxLatencyRatio === undefined || !side) continue;
        const one = entry(arm, guard.windowSeconds);
        one.latencies.add(side, pixels, each);
        if (side === 'default' || one.stopped) continue;
        const latencyRatio = slowRatio(one.latencies, guard);
        if (latencyRatio !== undefined) decide(arm, one, { reason: 'slow', latencyRatio });
      }
    },
    async poll(signal) {
      const guarded = guardedArms();
      const known = new Set(guarded.map(({ arm }) => keyOf(arm)));
      for (const key of judged.keys()) if (!known.has(key)) judged.delete(key);
      const polls = guarded.map(({ arm, guard }) => pollArm(arm, guard.windowSeconds, signal));
      const failure = (await Promise.allSettled(polls)).find((result) => result.status === 'rejected');
      if (failure) throw failure.reason;
    },
  };
}

const aboutArm = ({ experiment, revision, model, name, version }: Arm) => ({
  ...{ experiment, revision, model, arm: name, version },
});

const failsTooOften = ({ operations, failures }: Counts, { minOperations, maxFailureRatio }: GuardLimits): boolean =>
  operations >= minOperations && failures >= maxFailureRatio * operations;

/** A version that hangs has few other failures. */
const whyFailed = ({ failures, slow }: Counts): Why => ({ reason: slow * 2 >= failures ? 'slow' : 'failures', slow });

/** @returns the ratio, if it stops the arm */
function slowRatio(
  latencies: Latencies,
  { minOperations, maxLatencyRatio = Infinity }: GuardLimits,
): number | undefined {
  const { compared, ratio } = latencies.read();
  return compared >= Math.min(minOperations, MOST_KEPT) && ratio >= maxLatencyRatio ? ratio : undefined;
}

/** Only an operation that was given up ends like this. A job's own time limit is not the arm's failure and is not counted. */
const tookTooLong = (about: ArmFailure | undefined): boolean => about?.error?.code === 'EXECUTION_TIMEOUT';

/** Whose time the step measured: the arm's, that of the same model's default version, or neither's. */
function sideOf(arm: Arm, step: Step): 'arm' | 'default' | undefined {
  if (step.model !== arm.model) return undefined;
  if (step.servedVersion === arm.defaultVersion) return 'default';
  const own = step.experiment === arm.experiment && step.arm === arm.name && step.servedVersion === arm.version;
  return own ? 'arm' : undefined;
}

/** Longest error text in a decision. The text may contain what a model has raised. */
const MAX_ERROR = 500;

function lastFailure(about: ArmFailure | undefined): Pick<ArmStop, 'jobId' | 'error'> {
  if (!about?.error) return {};
  return { jobId: about.jobId, error: `${about.error.code}: ${about.error.message}`.slice(0, MAX_ERROR) };
}
