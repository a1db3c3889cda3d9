/** The parts and options that every step of the worker receives. */
import type { Completion } from '../domain/completion.js';
import type { IgnoredReason } from '../domain/notification.js';
import type { Delivery, ModelServer, ObjectStore } from '../domain/ports.js';
import type { DoneJob } from '../domain/shadow.js';
import type { PipelineOptions } from '../pipeline/job-state.js';
import type { RetryLimits } from '../pipeline/retry.js';
import { type StepDone, stepDone } from '../pipeline/step-done.js';
import type { Availability } from '../scheduling/availability.js';
import type { FairShare } from '../scheduling/fair-share.js';
import type { Intake } from '../scheduling/intake.js';
import type { Decision } from './decision.js';
import type { Outlet } from './outlet.js';
import type { Sightings } from './sightings.js';
import type { WaitingRoom } from '../scheduling/waiting-room.js';
import type { Slots } from '../scheduling/slots.js';

export interface HandlerParts {
  readonly models: ModelServer;
  /** Retries calls in place while storage is away. */
  readonly store: ObjectStore;
  /** The same store without retries. */
  readonly singleTryStore: ObjectStore;
  /** The topic to which messages are put back whose job cannot be done now. */
  readonly jobs: Outlet;
  readonly completions: Outlet;
  readonly deadLetters: Outlet;
  readonly intake: Intake;
  readonly availability: Availability;
  readonly waitingRoom: WaitingRoom;
  readonly share: FairShare;
  readonly observer: Observer;
  /**
   * Called when a job that this delivery has done has succeeded and its completion was published; must not throw. What it
   * begins waits until the message is acked.
   */
  readonly offerShadow: (done: DoneJob) => void;
}

export interface HandlerOptions {
  readonly statePrefix: string;
  readonly maxAttempts: number;
  /** How long a need of a job may be continuously away before the job ends, in milliseconds. */
  readonly maxDeferredMs: number;
  /** How often to check whether a job in work has ended elsewhere, in milliseconds. */
  readonly watchMs: number;
  /** How often to ask storage about a job before the job is put off. It is short: jobs that wait belong in the waiting room. */
  readonly lookUp: RetryLimits;
  /** Pause before a suspect job is put back, in milliseconds: as long as a model takes to be loaded again. */
  readonly suspectPauseMs: number;
  /** Name of this worker in its completions. */
  readonly worker: string;
  readonly pipeline: PipelineOptions;
}

/** Called at the receipt and the end of every message; must not throw. */
export interface Observer {
  received(delivery: Delivery): void;
  /** A bucket's notification that is no job. It is acked. */
  ignored(delivery: Delivery, reason: IgnoredReason): void;
  /** A completion was published. */
  ended(end: Ending): void;
  /** A dead letter was published. Its completion follows. */
  deadLettered(completion: Completion): void;
  /** An object that is no record of the job lies in the place of its record. Called each time that a worker reads it. */
  unreadable(delivery: Delivery, error: Error, jobId: string): void;
  /** A copy of the message was put back into the queue. */
  putBack(delivery: Delivery, error: Error, jobId: string | undefined): void;
  /** The message was given back. Pub/Sub delivers it again. */
  givenBack(delivery: Delivery, error: Error, jobId: string | undefined): void;
}

/** A job's end, with details that its completion does not contain. */
export interface Ending extends Decision {
  readonly delivery: Delivery;
  /** Time since the receipt of the delivery, in milliseconds. */
  readonly tookMs: number;
  /** The part of that time spent on publishing the completion and the dead letter, if there is one. */
  readonly publishMs: number;
}

export interface Worker {
  readonly parts: HandlerParts;
  readonly options: HandlerOptions;
  /** Stores results and records. It retries in place for every job, because the work of the job would be lost. */
  readonly outcomeStore: ObjectStore;
  readonly sightings: Sightings;
  /** Limits the messages without a place that ask storage about their job at once. */
  readonly lookUps: Slots;
}

/** Publishes on the diagnostics channel that a step is done. */
export function reportStep(jobId: string | undefined, { attempt }: Delivery, step: string): void {
  if (jobId !== undefined) stepDone.publish({ jobId, attempt, step } satisfies StepDone);
}
